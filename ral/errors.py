"""The one exception for bad input. It stands alone so that reporting it needs no heavy import."""

from __future__ import annotations


class UserError(Exception):
    """Bad input from the user. Its message is one clear line: what was wrong, where, and what to write instead."""
