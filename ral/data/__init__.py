"""Datasets: files are read into Examples, their images and videos into pixels, both into batches of prompts."""
