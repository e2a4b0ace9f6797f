r"""Problem type by an entry's subject: with "ability": "math" the gold answer "\frac{3}{4}" makes it numerical."""

from __future__ import annotations

import re

from ral.data.fields import Entry

FIELDS = ("ability", "data_source")
"""Fields in which verl's entries name a subject or a dataset."""
_MATH = re.compile(r"(?<![a-z])(?:math|arithmetic|geometry|algebra|geo3k|geoqa|gsm8k|aime|olympiad)", re.IGNORECASE)
_TERM = re.compile(r"\d|\\[a-zA-Z]+|[π√½⅓¼¾]")
"""Pattern of a number or term in a gold answer; it matches no word ("isosceles") and no letter."""


def type_by_subject(entry: Entry, answer: str, *, worked: bool = False) -> str:
    """Return "numerical" where the gold answer of an entry on mathematics is a number or term, else "free-form".

    worked: whether the answer stood under a worked solution, which shows mathematics as a subject does.
    """
    named = worked or any(isinstance(entry.data.get(name), str) and _MATH.search(entry.data[name]) for name in FIELDS)
    return "numerical" if named and _TERM.search(answer) else "free-form"
