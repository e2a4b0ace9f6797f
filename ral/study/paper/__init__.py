"""The paper's table from its first stage to its last: `scripts/paper.py`."""
