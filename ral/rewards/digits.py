"""Digits with the separators of several countries."""

from __future__ import annotations

import re
from fractions import Fraction

LONGEST_NUMBER = 50  # characters of one number

_SPACED = re.compile(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?![\d/])(?!\s*/)")
_UNDERSCORED = re.compile(r"(?<![\w.,])[1-9]\d{0,2}(?:_\d{3})+(?![\w])")
_GROUPED = re.compile(r"[1-9]\d{0,2}(?:(?:,\d{3})+|(?:'\d{3})+)(?:\.\d+)?|[1-9]\d?(?:,\d{2})+,\d{3}(?:\.\d+)?")
_EUROPEAN = re.compile(r"[1-9]\d{0,2}(?:\.\d{3})+,\d+|[1-9]\d{0,2}(?:\.\d{3}){2,}|\d+,\d+")
_PLAIN = re.compile(r"\d+(?:\.\d+)?|\.\d+")


def join_groups(text: str) -> str:
    """Thousands set apart by blanks or underscores put together: "1 234 567" -> "1234567"."""
    joined = _SPACED.sub(lambda match: match.group().replace(" ", ""), text)
    return _UNDERSCORED.sub(lambda match: match.group().replace("_", ""), joined)


def read_digits(digits: str) -> tuple[Fraction, bool] | None:
    """(value, written without decimals) of digits with separators; None for "1.2.3" and the like.

    A comma or apostrophe before groups of three digits (or India's 2-2-3) parts thousands, otherwise a single comma is
    a decimal comma: "1,234" is 1234, "3,14" is 3.14, "1.234,5" is 1234.5.
    """
    digits = digits.rstrip(".,'")
    if len(digits) > LONGEST_NUMBER:
        return None
    if _GROUPED.fullmatch(digits):
        digits = digits.replace(",", "").replace("'", "")
    elif _EUROPEAN.fullmatch(digits):
        digits = digits.replace(".", "").replace(",", ".")
    return (Fraction(digits), "." not in digits) if _PLAIN.fullmatch(digits) else None
