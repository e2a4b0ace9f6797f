"""Days, months and times of day as options: "Tue." is "Tuesday", "Dec" is "December", "nighttime" is "Night"."""

from __future__ import annotations

import re
from collections.abc import Mapping

_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"
_MONTHS = "January February March April May June July August September October November December"
_NAMES = tuple(f"{_DAYS} {_MONTHS}".casefold().split())
_LONGER = {"tues": "tuesday", "weds": "wednesday", "thur": "thursday", "thurs": "thursday", "sept": "september"}
_SHORT = {name[:3]: name for name in _NAMES} | _LONGER
_AHEAD = r"(?:(?:it is|it's|it was|the answer is) )?(?:(?:on|in|at) )?(?:the )?"
_SAID = re.compile(rf"{_AHEAD}(?P<name>[a-z]+)", re.IGNORECASE)
_TIME = re.compile(rf"{_AHEAD}(?P<time>day|night)(?:[ -]?time)?", re.IGNORECASE)
_MOST = re.compile(r"\b(?:most|highest|largest|greatest)\b", re.IGNORECASE)
_MORE = re.compile(
    r"(?P<one>[a-z]+)(?: \([^()]*\d[^()]*\))?(?:,? followed by (?P<next>[a-z]+)(?: \([^()]*\d[^()]*\))?"
    r"| had (?:more|(?:higher|larger|greater)) (?P<what>[a-z]+) than (?P<other>[a-z]+))",
    re.IGNORECASE,
)


def option_of_calendar(text: str, options: Mapping[str, str], question: str) -> str | None:
    """Return the letter of the one option that is the day, month, or time of day (day, night) of a text; else None.

    options: {letter: text as written}; abbreviations count where all are days or all are months. Where `question` asks
    for the most, "Tuesday had more rain than Monday" and "Tuesday, followed by Monday" are Tuesday.
    """
    line = " ".join(text.split()).rstrip(" .!")
    own = {key: name.strip(" .").casefold() for key, name in options.items()}
    if all(name in _NAMES[:7] for name in own.values()) or all(name in _NAMES[7:] for name in own.values()):
        return _letter(_named(line, question, frozenset(own.values())), own)
    found = _TIME.fullmatch(line)
    time = found["time"].lower() if found else ""
    named = [letter for letter, name in own.items() if time and re.fullmatch(rf"{time}(?:[ -]?time)?", name)]
    return named[0] if len(named) == 1 else None


def same_calendar(gold: str, answer: str, question: str) -> bool:
    """Tell whether gold is a day or month, and an answer says, abbreviates or ranks first that one, as options do."""
    wanted, line = gold.strip(" .").casefold(), " ".join(answer.split()).rstrip(" .!")
    kind = next((names for names in (_NAMES[:7], _NAMES[7:]) if wanted in names), ())
    return bool(kind) and _named(line, question, frozenset(kind)) == wanted


def _named(line: str, question: str, own: frozenset[str]) -> str | None:
    """Return the name that a line says or abbreviates, or puts above another option."""
    if said := _SAID.fullmatch(line):
        name = said["name"].casefold()
        return _SHORT.get(name, name)
    more = _MORE.fullmatch(line) if _MOST.search(question) else None
    if more is None or (more["what"] and not re.search(rf"\b{more['what']}\b", question, re.IGNORECASE)):
        return None
    one, other = more["one"].casefold(), (more["next"] or more["other"]).casefold()
    return one if {one, other} <= own and one != other else None


def _letter(name: str | None, own: Mapping[str, str]) -> str | None:
    named = [letter for letter, option in own.items() if option == name]
    return named[0] if len(named) == 1 else None
