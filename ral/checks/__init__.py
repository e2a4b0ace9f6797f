"""Whole-system checks that a person runs by hand: kills, long runs, planted mistakes, GPUs, whole data sets."""
