"""Functions for notebooks and programs, which `import ral` offers: the command lines as functions."""
