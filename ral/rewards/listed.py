"""Counts with a list of the things: "two people: a man and a woman", a bold number above bullets, bulleted parts."""

from __future__ import annotations

import re

from ral.rewards.denials import taken_back
from ral.rewards.number_words import SMALL

_BULLET = re.compile(r"^[ \t]*[-*•–][ \t]+(?=\S)", re.MULTILINE)
_EMPHASIS = re.compile(r"\*\*|__")
_N = rf"\b(?:{'|'.join(sorted(SMALL, key=len, reverse=True))})\b"
_ALL = re.compile(r"\s*(?:all|each|every one)\b", re.IGNORECASE)
_LISTED = re.compile(
    rf"(?P<end>[^\d:()?？\n]*?(?P<count>{_N})(?: [^\W\d_]+){{0,5}}?)\s*(?::|\s[—–-]\s|\()\s*"
    r"(?P<things>[^\d()?？:]+?)\)?[\s.!]*",
    re.IGNORECASE,
)
_NOT_LISTED = re.compile(
    rf"\b(?:{'|'.join(name for name in SMALL if name != 'one')}|or|not|no|nor|without|maybe|perhaps|possibly|probably"
    r"|might|may|could|none|neither|nobody|but|actually|wait|if|plus|so|therefore|total|another|more|other|others|instead|except"
    r"|dozen|several|few|some|couple|pair|pairs|both)\b|n['’]t\b|\bi (?:think|guess|suppose)\b",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"\s*(?:[,;]\s*(?:and\s+)?|\n+|\s+and\s+)\s*", re.IGNORECASE)


def unlisted(text: str) -> str | None:
    """Return a text of several lines without bullets and Markdown emphasis; None for one line, or with neither of them.

    A single bullet stays.
    """
    plain = _EMPHASIS.sub("", text)
    plain = _BULLET.sub("", plain) if len(_BULLET.findall(plain)) > 1 else plain
    return plain if plain != text and "\n" in text.strip() else None


def enumerated(text: str) -> str | None:
    """Return a count in words without the list behind it: "two people" of "two people: a man and a woman"; else None.

    As many things have to be listed as are counted, or the list has to begin with "all", "each" or "every one". None
    also for lists that doubt, deny or add anything.
    """
    plain = _EMPHASIS.sub("", text).strip()
    found = _LISTED.fullmatch(plain)
    if found is None or _NOT_LISTED.search(found["things"]):
        return None
    if taken_back(plain[found.end("end") :]):
        return None
    things = [thing for thing in _BETWEEN.split(_BULLET.sub("\n", f"\n{found['things']}")) if thing.strip()]
    alike = len(things) == SMALL[found["count"].lower()] > 1 or _ALL.match(found["things"])
    return found["end"] if alike else None
