"""Files and folders that every package knows: the owner of a run folder, the content of a model folder. Imports no
torch.
"""
