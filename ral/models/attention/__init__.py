"""How the decoder attends: shared prompts, kernels, capture."""
