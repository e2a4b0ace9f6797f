"""Times that a field holds as text: "00:12", "1m30s", "2.5 - 4.2", "00:00:02,500 --> 00:00:04,000", "[2.5, 4.2]"."""

from __future__ import annotations

import json
import re

_ONE = r"""(?:\d{1,3}(?::\d{2}){1,2}(?:[.,]\d+)?|\d+\ ?h\ ?(?:\d+\ ?m(?:in)?\ ?)?(?:\d+(?:\.\d+)?\ ?s)?
    |\d+\ ?m(?:in)?\ ?(?:\d+(?:\.\d+)?\ ?s(?:ec)?)?|\d+(?:\.\d+)?\ ?(?:seconds?|secs?|s|秒)?)"""
"""Pattern of a time: a clock's, of SRT too, one in hours, minutes and seconds, or a number of seconds."""
_TIME = re.compile(_ONE, re.VERBOSE | re.IGNORECASE)
_TWO = re.compile(
    rf"""[\s\[(<{{]*(?:from|between)?\s*(?P<first>{_ONE})
    (?P<gap>\s*(?:-{{1,2}}>|→|[-\u2010-\u2015~～,;_/|:]|\.{{2,3}}|\b(?:to|till|until|and|through)\b)\s*)
    (?P<last>{_ONE})(?![\w.:])[\s\])>}}]*""",
    re.VERBOSE | re.IGNORECASE,
)
_PARTS = re.compile(r"(\d+(?:\.\d+)?) ?([hms]?)", re.IGNORECASE)
_YEAR = re.compile(r"(?:19|20)\d\d")


def is_time_text(text: str) -> bool:
    """Tell whether a text is one time, such as "00:12", "1m30s", "2.5 s" or "00:00:02,500"."""
    return _TIME.fullmatch(text.strip()) is not None


def seconds_of(text: str) -> float:
    """Return the seconds of "75", "75.0 s", "01:15", "00:01:15,250" or "1m15s"."""
    plain = re.sub(r"(?<=\d),(?=\d)", ".", text)
    if ":" not in plain and re.search(r"\d ?[hm]", plain, re.IGNORECASE):
        of = {"h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0}
        return sum(float(number) * of[unit.lower()] for number, unit in _PARTS.findall(plain))
    found = re.sub(r"[^\d.:]", "", plain)
    return sum(float(part) * 60**place for place, part in enumerate(reversed(found.split(":"))) if part)


def two_times(text: str) -> tuple[float, float] | None:
    """Return the seconds of a text that is two times of which the second is the later; None for any other.

    Years ("2019-2020") and whole numbers with a leading zero around a hyphen, as dates have them ("05-12"), are none.
    """
    found = _TWO.fullmatch(text.strip())
    if found is None:
        return None
    times = (found["first"], found["last"])
    if all(map(_YEAR.fullmatch, times)) or any(re.fullmatch(r"0\d+", time) for time in times):
        return None
    first, last = map(seconds_of, times)
    return (first, last) if first < last else None


def says_times(text: str) -> bool:
    """Tell whether a text of two times says so itself, by a clock, a unit or an arrow, whatever its field is called."""
    return two_times(text) is not None and re.search(r"\d:\d\d|\d ?(?:s\b|sec|h\b|m\b|min|秒)|>|→", text) is not None


def opened(value: object) -> object:
    """Return the list or object that a text holds, as a table's cell does ("[2.5, 4.2]"); any other value unchanged."""
    if not isinstance(value, str) or value.strip()[:1] not in ("[", "{", "("):
        return value
    text = value.strip().replace("'", '"').translate(str.maketrans("()", "[]"))
    try:
        inner: object = json.loads(text)
    except ValueError:
        return value
    return inner
