"""Files and folders that every room knows: whose a run folder is, what a model folder holds. Imports no torch."""
