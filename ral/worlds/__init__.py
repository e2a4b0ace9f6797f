"""Generators of data whose evidence is known."""
