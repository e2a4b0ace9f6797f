"""Loaders of published datasets whose entries say where the answer is seen; their examples have evidence."""
