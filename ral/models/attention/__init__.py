"""Attention of the decoder: shared prompts, kernels, capture."""
