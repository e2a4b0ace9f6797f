"""Fractions said behind an integer: "5 and a half", "5 hours and a quarter", "5 y medio", 5个半."""

from __future__ import annotations

import re

_PARTS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "eighth": 8, "tenth": 10}
_COUNTS = {"a": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "seven": 7}
_INTEGER = r"(?<![\d.,/^])(\d+)"
_SAID = re.compile(
    rf"{_INTEGER}((?: (?!and\b)[a-z]+)?)[ -](?:and|&)[ -]({'|'.join(_COUNTS)})[ -]({'|'.join(_PARTS)})s?\b"
    r"((?: of)?(?: (?:a|an)\b)?)",
    re.IGNORECASE,
)
_ONE = re.compile(r"\b(?:an?|one) (hour|minute|day|week|month|year|mile|pound) and (an?) (half|quarter)\b", re.I)
_WRITTEN = re.compile(rf"{_INTEGER}\s+(?:and|&)\s+(?=\d+\s*/\s*\d)", re.IGNORECASE)
_HALF = re.compile(
    rf"{_INTEGER}((?: [^\W\d_]+)?) (?:y medi[oa]|e mei[oa]|e mezz[oa]|et demie?|с половиной|и половина"
    r"|und (?:ein|eine) halb[e]?)\b",
    re.IGNORECASE,
)
HAN_HALF = r"[个個年天岁歲周日块塊元米斤里倍位名只隻次秒]半(?![径徑球导導])"
"""A measure word and the half of one behind a Chinese number."""
_HAN = re.compile(rf"{_INTEGER}\s*({HAN_HALF})")


def join_halves(text: str) -> str:
    """Return a text in which an integer and a fraction said behind it are one mixed number.

    "5 and a half" becomes "5 1/2", "5 hours and a half" "5 1/2 hours"; "an hour and a half" only becomes "one and a
    half hour". A half is read in Spanish, Portuguese, Italian, French, Russian, German and Chinese as well.
    """
    text = _ONE.sub(r"one and \2 \3 \1", text)
    text = _SAID.sub(lambda m: f"{m[1]} {_COUNTS[m[3].lower()]}/{_PARTS[m[4].lower()]}{m[2]}", text)
    return _HAN.sub(lambda m: f"{m[1]} 1/2{measure(m[2])}", _HALF.sub(r"\1 1/2\2", _WRITTEN.sub(r"\1 ", text)))


def measure(half: str) -> str:
    """Return the measure word of HAN_HALF; "" for the general one, behind which the unit stands (2个半小时)."""
    return half[0].strip("个個")
