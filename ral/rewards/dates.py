"""Dates as options: "5 March 2020", "Mar 5th, 2020" and "2020-03-05" are the option "March 5, 2020"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_NAMES = "january february march april may june july august september october november december"
_MONTHS = {name: place for place, name in enumerate(_NAMES.split(), start=1)}
_SHORT = {name[:3]: place for name, place in _MONTHS.items()} | {"sept": 9}
_MONTH = rf"(?P<month>{'|'.join((*_MONTHS, *sorted(_SHORT, reverse=True)))})\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>\d{4})"
_LEAD = (
    r"(?:(?:it|this|(?:the|its) (?:date|letter|document|photo|picture|event|ticket|receipt|invoice|note)"
    r"(?: (?:on|of|in) (?:the|this) [a-z]+)?)(?: is| was|'s)? )?(?:(?:dated|written|issued|signed|taken|dates from) )?"
    r"(?:on )?(?:the )?"
)
_FORMS = tuple(
    re.compile(rf"{_LEAD}{form}[\s.。!]*", re.IGNORECASE)
    for form in (
        rf"{_MONTH} (?:the )?{_DAY}(?:,? {_YEAR})?",
        rf"{_DAY} (?:of )?{_MONTH}(?:,? {_YEAR})?",
        rf"{_MONTH},? (?:of )?{_YEAR}",
        rf"{_YEAR}(?P<mark>[-./])(?P<month>\d{{1,2}})(?P=mark){_DAY}",
        rf"{_YEAR}\s?年\s?(?P<month>\d{{1,2}})\s?月(?:\s?{_DAY}\s?[日号號])?",
    )
)


class Date(NamedTuple):
    """A date. year or day: None where the text leaves it out."""

    year: int | None
    month: int
    day: int | None


def option_of_date(text: str, options: Mapping[str, str]) -> str | None:
    """Return the letter of the one option that is the date of a text, to the same parts; else None.

    options: {letter: text}.
    """
    said = read_date(text)
    named = [letter for letter, own in options.items() if said and read_date(own) == said]
    return named[0] if len(named) == 1 else None


def read_date(text: str) -> Date | None:
    """Return the date that a text is, perhaps behind "It is dated"; None for other texts and for days no month has.

    A date of figures alone begins with its year, since "03/05/2020" may be of March or of May.
    """
    line = " ".join(text.split())
    found = next(filter(None, (form.fullmatch(line) for form in _FORMS)), None)
    if found is None:
        return None
    parts: dict[str, str | None] = {"year": None, "day": None} | found.groupdict()
    name = found["month"].lower()
    month = int(name) if name.isdigit() else _MONTHS.get(name) or _SHORT[name]
    year, day = (int(part) if (part := parts[name]) else None for name in ("year", "day"))
    if not 1 <= month <= 12 or (day is not None and not 1 <= day <= 31):
        return None
    return Date(year, month, day)
