"""Knockout: attention to chosen positions is cut, to measure which attention a model's answers depend on."""
