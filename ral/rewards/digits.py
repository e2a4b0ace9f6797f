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
    """Return a text without the blanks or underscores between thousands: "1 234 567" -> "1234567"."""
    joined = _SPACED.sub(lambda match: match.group().replace(" ", ""), text)
    return _UNDERSCORED.sub(lambda match: match.group().replace("_", ""), joined)


def read_digits(digits: str) -> tuple[Fraction, bool] | None:
    """Return (value, whether it has no decimals) of digits with separators; None for "1.2.3" and over LONGEST_NUMBER.

    A comma or apostrophe before groups of three digits (or India's 2-2-3) separates thousands, otherwise a single comma
    is a decimal comma: "1,234" is 1234, "3,14" is 3.14, "1.234,5" is 1234.5.
    """
    plain = _plain(digits)
    return (Fraction(plain), "." not in plain) if plain else None


def last_place(digits: str) -> Fraction:
    """Return the value of one more in the last digit: 1/100 for "16.67" and "16,70", 1 for "1,600"; 0 for no number."""
    plain = _plain(digits)
    return Fraction(1, 10 ** len(plain.partition(".")[2])) if plain else Fraction(0)


def _plain(digits: str) -> str:
    """Return the digits with nothing but a decimal point between them; empty where they form no number."""
    digits = digits.rstrip(".,'")
    if len(digits) > LONGEST_NUMBER:
        return ""
    if _GROUPED.fullmatch(digits):
        digits = digits.replace(",", "").replace("'", "")
    elif _EUROPEAN.fullmatch(digits):
        digits = digits.replace(".", "").replace(",", ".")
    return digits if _PLAIN.fullmatch(digits) else ""
