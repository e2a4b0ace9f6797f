"""Files and folders that every package uses: ownership of run folders, the content of model folders, JSON lines,
tables, this repository's own places. Imports no torch.
"""
