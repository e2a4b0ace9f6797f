"""Measurements of time and memory: worker processes, one for each side of a comparison, that take turns."""
