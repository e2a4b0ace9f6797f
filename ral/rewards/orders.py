"""Orders: "plant → blanket → can" and "plant, then blanket, then can" are the option "plant, blanket, can".

So are numbered lines of the three. Items and their order have to be those of one option.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ral.rewards.claims import ENDS

LONGEST = 400  # characters of such an answer
_ARROW = re.compile(r"\s*(?:→|⟶|➔|➜|⇒|->|-->|=>)\s*")
_THEN = re.compile(r"\s*[,;.]?\s*(?:and )?\bthen\b,?\s+|\s*,\s*(?:and )?(?:finally|lastly|next)\b,?\s+", re.IGNORECASE)
_LINE = re.compile(r"\s*(?P<place>\d{1,2})[.)]\s+(?P<item>[^\n]+?)\s*")
_LEAD = re.compile(
    r"(?:the|my|correct|final|[a-z-]+ )[a-z -]{0,60}?\b(?:order|sequence|answer|route|list)(?: is)?:\s*", re.I
)
_FIRST = re.compile(r"(?:first,?\s+)?(?:(?:the|an?)\s+)?", re.IGNORECASE)
_DENIES = re.compile(
    r"\b(?:not|never|wrong|incorrect|or|maybe|perhaps|reverse\w*|opposite)\b|n['’]t\b|[?？]", re.IGNORECASE
)


def option_of_order(text: str, options: Mapping[str, str]) -> str | None:
    """Return the letter of the one option that lists the items of a text in the text's order; else None.

    text: the answer with its line breaks; it joins items by arrows or "then", or has one in each line, numbered from 1.
    options: {letter: text in small letters}, with commas between items.
    """
    if len(text) > LONGEST or _DENIES.search(text):
        return None
    items = _items(text)
    named = [letter for letter, own in options.items() if items and items == [_item(part) for part in own.split(",")]]
    return named[0] if len(named) == 1 else None


def _items(text: str) -> list[str]:
    """Return the items of a text in their order; [] for a text that puts nothing in order."""
    rest = text.strip()
    if lead := _LEAD.match(rest):
        rest = rest[lead.end() :]
    lines = [_LINE.fullmatch(line) for line in rest.splitlines() if line.strip()]
    if len(lines) > 1:
        numbered = [found for found in lines if found]
        places = [int(found["place"]) for found in numbered]
        counted = len(numbered) == len(lines) and places == list(range(1, len(lines) + 1))
        return [_item(found["item"]) for found in numbered] if counted else []
    parts = _ARROW.split(rest) if _ARROW.search(rest) else _THEN.split(rest)
    return [_item(part) for part in parts] if len(parts) > 1 else []


def _item(text: str) -> str:
    plain = " ".join(text.casefold().split()).strip(f"{ENDS}*\"'")
    return _FIRST.sub("", plain, count=1)
