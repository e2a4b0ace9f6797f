"""Generators of datasets: images and videos made with known answers and evidence, and conversions of published data."""
