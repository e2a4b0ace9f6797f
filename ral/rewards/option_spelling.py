"""One spelling for an answer and its options: points, opposites and other words that are written in several ways."""

from __future__ import annotations

from collections.abc import Sequence

from ral.rewards.compass import in_option_points
from ral.rewards.senses import in_option_senses


def in_option_spelling(text: str, options: Sequence[str]) -> str:
    """Return a text with words such as "north east" (`compass`) and "anti clockwise" (`senses`) as the options write
    theirs.
    """
    return in_option_senses(in_option_points(text, options), options)
