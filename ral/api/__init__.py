"""Functions for notebooks and programs, which `import ral` offers. Each does what a command line does."""
