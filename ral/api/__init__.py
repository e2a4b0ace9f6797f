"""What notebooks and programs call: the functions that `import ral` offers. Each does what a command line does."""
