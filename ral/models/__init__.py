"""The policy as a model: a multimodal LLM from a Hugging Face folder, its processor, and the forward passes we own."""
