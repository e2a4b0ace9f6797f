"""Published benchmarks: their files are read into questions, and responses are scored as the authors score them."""
