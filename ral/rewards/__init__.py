"""Rewards of responses, and how the answer in a response is read: options, numbers, units, texts, yes and no."""
