"""Measurements of time and memory: worker processes that take turns, and the sides that they measure."""
