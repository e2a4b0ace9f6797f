"""Reads the letter that an option of a multiple-choice question begins with, whatever marks it is written with."""

from __future__ import annotations

import re
import unicodedata

_BRACKETS = {"(": ")", "[": "]", "{": "}", "【": "】", "「": "」"}
_BRACKETED = re.compile(r"([(\[{【「])\s*([A-Za-z])\s*([)\]}】」])\s*[.:、]?\s*(.*)", re.DOTALL)
_MARKED = re.compile(r"([A-Za-z])\s*(?:[.:、]|[)\]】」][.:]?)\s*(.*)", re.DOTALL)


def letter_and_text(option: str) -> tuple[str, str] | None:
    """Split "B. red", "(b) red", "[B] red", "B、red" or "【B】red" into ("B", "red"); None where no letter is marked.

    Fullwidth letters and marks count as the plain ones. "A red" has no mark: its first word may be an article.
    """
    text = unicodedata.normalize("NFKC", option).strip()
    found = _BRACKETED.fullmatch(text)
    if found is not None:
        matching = _BRACKETS[found.group(1)] == found.group(3)
        return (found.group(2).upper(), found.group(4).strip()) if matching else None
    found = _MARKED.fullmatch(text)
    return None if found is None else (found.group(1).upper(), found.group(2).strip())


def lettered(options: tuple[str, ...]) -> dict[str, str] | None:
    """Read {letter: text} off options that all have a letter of their own; None where one has none or two share one."""
    pairs = [letter_and_text(option) for option in options]
    found = {pair[0]: pair[1] for pair in pairs if pair is not None}
    return found if len(found) == len(options) else None
