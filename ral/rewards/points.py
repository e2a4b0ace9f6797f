"""Points by their coordinates: "x = 3, y = 4" is (3, 4)."""

from __future__ import annotations

import re

LONGEST = 120
"""Characters of a text that is read as a point."""
_VALUE = r"[-−+]?\d+(?:\.\d+)?(?:/\d+)?"
_EQUAL = r"\s*(?:=|:|\bis\b|\bequals\b)\s*"
_NEXT = r"\s*(?:[,;]\s*(?:and\s+)?|\band\s+|\n\s*)\s*"
_COORDINATES = re.compile(
    rf"\s*(?P<one>[xyz]){_EQUAL}(?P<a>{_VALUE}){_NEXT}(?P<two>[xyz]){_EQUAL}(?P<b>{_VALUE})"
    rf"(?:{_NEXT}(?P<three>[xyz]){_EQUAL}(?P<c>{_VALUE}))?[\s.]*",
    re.IGNORECASE,
)
_GROUPS = (("one", "a"), ("two", "b"), ("three", "c"))
_DRESS = re.compile(r"\\[(),;! ]|\\quad|[$*]")


def as_point(text: str) -> str | None:
    """Return "(3, 4)" of a text that is nothing but "x = 3, y = 4", in any order of the two; None for any other text.

    Two coordinates have to be x and y, three x, y and z, each once and by one number.
    """
    if len(text) > LONGEST:
        return None
    found = _COORDINATES.fullmatch(_DRESS.sub(" ", text))
    if found is None:
        return None
    given = [(found[name].lower(), found[value]) for name, value in _GROUPS if found[name]]
    pairs = dict(given)
    if "".join(sorted(pairs)) != "xyz"[: len(given)]:
        return None
    return f"({', '.join(pairs[name].replace('−', '-').lstrip('+') for name in sorted(pairs))})"
