"""Knock-out: which attention a model's answers depend on, by taking it away."""
