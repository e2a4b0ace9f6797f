"""Compass points as options: "NE", "north-east" and "towards the northeast" are the option "Northeast"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_SHORT = {"n": "north", "e": "east", "s": "south", "w": "west"}
_WORD = r"(?:north|south|east|west)"
_POINT = rf"(?:{_WORD}[ -]?(?:by )?{_WORD}?[ -]?{_WORD}?)"
_TWO = re.compile(r"\b(?<!\bfrom )(?<!\bfrom the )(north|south)([ -]?)(east|west)", re.IGNORECASE)
_LETTERS = re.compile(r"(?:[NS]\.?(?:[NS]?\.?[EW]\.?)?|[EW]\.?(?:[NS]\.?[EW]\.?)?)")
_SAID = re.compile(
    r"(?:(?:it|he|she|(?:the|this) [a-z]+)(?: is| was)? )?"
    r"(?:(?:point|head|fac|mov|driv|go|walk|run|fly)(?:s|es|ing|e|ed|ies|ying|ning)? )?"
    rf"(?:due )?(?:towards? |to |in )?(?:the )?(?:due )?(?P<point>{_POINT})(?:ern|wards?)?(?: direction)?"
    r"(?P<between>,? \(?(?:i\.e\.,? |that is,? |halfway |midway )*"
    rf"between (?P<one>{_WORD}) and (?P<other>{_WORD})\)?)?[\s.!]*",
    re.IGNORECASE,
)


def option_of_point(text: str, options: Mapping[str, str]) -> str | None:
    """Return the letter of the one option that is the compass point which a text says; else None.

    None also where an option is no compass point. options: {letter: text}. Abbreviations in the text count only in
    capitals ("NE"). Where the text adds "between north and east", its point has to be of these two.
    """
    points = {letter: _point(own.upper()) or _point(own) for letter, own in options.items()}
    said = _point(text)
    named = [letter for letter, own in points.items() if said and own == said]
    return named[0] if len(named) == 1 and None not in points.values() else None


def in_option_points(text: str, options: Sequence[str]) -> str:
    """Return a text with points such as "north east" written as the options write theirs: "north-east" or "northeast".

    One word where no option has such a point. The text is unchanged where no option has any point, or where they write
    theirs in several ways; behind "from" a point stays as it is.
    """
    if not any(re.search(_WORD, own, re.IGNORECASE) for own in options):
        return text
    forms = {found[2] for own in options for found in _TWO.finditer(own)} or {""}
    return _TWO.sub(lambda found: f"{found[1]}{next(iter(forms))}{found[3]}", text) if len(forms) == 1 else text


def _point(text: str) -> str | None:
    """Return a point as one word, "northeast"; None for other texts."""
    line = " ".join(text.split())
    if _LETTERS.fullmatch(line):
        return "".join(_SHORT[letter] for letter in line.lower() if letter in _SHORT)
    found = _SAID.fullmatch(line)
    if found is None:
        return None
    point = re.sub(r"[^a-z]", "", found["point"].lower())
    near = {found["one"].lower(), found["other"].lower()} if found["between"] else set()
    return point if not near or point in {f"{one}{other}" for one in near for other in near - {one}} else None
