"""Algorithms that need more than loss terms, and the parts that they add."""
