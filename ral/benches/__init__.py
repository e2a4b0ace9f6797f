"""Measurements of cost: workers that take turns, and the sides they stand for. Nothing else in `ral` imports them."""
