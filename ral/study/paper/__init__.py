"""The paper's table, from its first stage to its page: `scripts/paper.py`."""
