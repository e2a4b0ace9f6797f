"""Methods that are more than terms of an objective, one file each."""
