"""Times of a clock: "3:45", "10:30 AM", "It is 22:30.", "half past two", 下午3点45分, "15:45 Uhr"."""

from __future__ import annotations

import re
from fractions import Fraction

from ral.rewards.number_words import SMALL
from ral.rewards.units import CLOCK, TIME_OF_DAY, Unit

_LEAD = (
    r"(?:(?:the|an?|it|it's|this|that|time|clock|watch|current|local|correct|final|answer|video|clip|duration|length|starts"
    r"|lasts|shown?|shows|reads|says|displays|is|was|at|on|about|around|approximately|exactly|roughly|so|therefore|thus"
    r"|es ist|il est|son las|es la|время|сейчас|时间|時間|现在|現在|答案|大约|大约|约|是|为)(?![a-z])|[:：,=\s])*"
)
_BEFORE_NOON = r"上午|早上|早晨|清晨|凌晨|午前|오전|새벽"
_AFTER_NOON = r"下午|傍晚|晚上|午后|午後|夜里|오후|저녁"
_HALF = rf"(?P<han>{_BEFORE_NOON}|{_AFTER_NOON})?\s*"
_LETTERS = r"(?:\s*(?P<half>[ap])\.?\s?m\b\.?|\s*(?:in the )(?P<words>morning|afternoon|evening))"
_NAMED = r"\s*(?:uhr|o'?clock|hrs?|hours)?"
_TIME = re.compile(
    rf"{_LEAD}{_HALF}(?P<first>\d{{1,4}})(?::(?P<second>[0-5]\d)(?::(?P<third>[0-5]\d))?"
    rf"|\s*[点點时時시]\s*(?P<minutes>[0-5]?\d)\s*[分분])(?:{_LETTERS}|{_NAMED})[\s.。!です입니다]*",
    re.IGNORECASE,
)
_HOUR = re.compile(
    rf"{_LEAD}(?:{_HALF}(?P<first>\d{{1,2}})(?:{_LETTERS})"
    rf"|(?P<han2>{_BEFORE_NOON}|{_AFTER_NOON})\s*(?P<hour>\d{{1,2}})\s*[点點时時시]整?)[\s.。!です입니다]*",
    re.IGNORECASE,
)
_HOURS = {name: value for name, value in SMALL.items() if 1 <= value <= 12}
_MINUTES = {name: value for name, value in SMALL.items() if value} | {"twenty": 20, "quarter": 15, "half": 30}
_MINUTES |= {f"twenty{mark}{name}": 20 + value for name, value in SMALL.items() if 0 < value < 10 for mark in " -"}
_PAST = rf"(?:an? )?(?P<part>{'|'.join(sorted(_MINUTES, key=len, reverse=True))}|[1-5]?\d)(?P<unit> minutes?)?"
_SPOKEN = re.compile(
    rf"{_LEAD}{_PAST} (?P<way>past|to|till|after|before) (?P<hour>{'|'.join(_HOURS)}|1[0-2]|[1-9])"
    rf"(?: ?o'?clock)?(?:{_LETTERS})?[\s.!]*",
    re.IGNORECASE,
)
_FIGURES = r"\d{1,2}:[0-5]\d(?::[0-5]\d)?(?: ?[ap]\.?m\b\.?)?"
_CONCLUDED = re.compile(
    r"(?P<why>[^?？]*\bhands?\b[^?？]*)[,;.:]\s*(?:and )?(?:so|hence|thus|therefore|which (?:means|makes)|meaning)"
    r"(?: that)?,? "
    rf"(?P<end>[^\d?？,;:]{{0,40}}{_FIGURES}[\s.!]*)",
    re.IGNORECASE | re.DOTALL,
)
_EXPLAINED = re.compile(
    rf"(?P<end>[^\d?？,;:]{{0,40}}{_FIGURES})[,;.(]*\s+\(?(?:since|because|as|with|the)\b(?P<why>[^?？]*\bhands?\b[^?？]*)",
    re.IGNORECASE | re.DOTALL,
)
_TIMES = re.compile(_FIGURES, re.IGNORECASE)


def time_concluded(text: str) -> str | None:
    """Return the time that a text reads off the hands of a clock: "it is 2:30" of "The minute hand is at 6, so it is
    2:30" and "It is 2:30, since the minute hand is at 6"; None where it holds several times.
    """
    found = _CONCLUDED.fullmatch(text) or _EXPLAINED.fullmatch(text)
    return found["end"] if found and len(_TIMES.findall(text)) == 1 else None


def _spoken(found: re.Match[str]) -> tuple[int, Unit] | None:
    """Return (value, unit) of "half past two"; None for "ten to four", which may be a range, and "half to two"."""
    part, way, hour = found["part"].lower(), found["way"].lower(), found["hour"].lower()
    minutes = _MINUTES[part] if part in _MINUTES else int(part)
    hours = _HOURS[hour] if hour in _HOURS else int(hour)
    if (part == "half" and way != "past") or (way != "past" and part != "quarter" and not found["unit"]):
        return None
    if found["unit"] and part in ("half", "quarter"):
        return None
    back = way in ("to", "till", "before")
    time = [(hours - 2) % 12 + 1, 60 - minutes] if back else [hours, minutes]
    return _value(time, _half(None, found["half"], found["words"])) if 0 < minutes < 60 else None


def read_clock(text: str) -> tuple[int, Unit] | None:
    """Return (value, unit) of "3:45", "1:02:03", "10:30 AM", "10 AM" and "half past two"; None for any other form.

    A clock does not say its unit: "3:45" is 225, which meets 225 alone, "3 min 45 s" and "3 h 45 min". With AM or PM,
    or words such as 下午, it is a time of day, in minutes (in seconds where it gives some) since midnight. None for
    times that no clock has, such as "13:00 AM".
    """
    if found := _TIME.fullmatch(text.strip()):
        parts = [found["first"], found["second"] or found["minutes"], found["third"]]
        return _value([int(part) for part in parts if part], _half(found["han"], found["half"], found["words"]))
    if found := _SPOKEN.fullmatch(text.strip()):
        return _spoken(found)
    if found := _HOUR.fullmatch(text.strip()):
        half = _half(found["han"] or found["han2"], found["half"], found["words"])
        return _value([int(found["first"] or found["hour"]), 0], half)
    return None


def _half(han: str | None, letter: str | None, words: str | None) -> str:
    """Return "a" before noon, "p" after it, "" where a time does not say."""
    if han:
        return "a" if re.fullmatch(_BEFORE_NOON, han) else "p"
    return (letter or {"morning": "a", None: ""}.get(words, "p") or "").lower()


def _value(parts: list[int], half: str) -> tuple[int, Unit] | None:
    """Return (value, unit) of [hours, minutes, perhaps seconds]; None for "13:00 AM" and "0:30 PM", not for "17:30 PM".

    half: "a", "p" or "", as `_half` returns.
    """
    if half and not (1 <= parts[0] <= 12 or (half == "p" and 13 <= parts[0] <= 23) or (half == "a" and not parts[0])):
        return None
    hours = parts[0] % 12 + 12 * (half == "p") if half else parts[0]
    value = 0
    for part in (hours, *parts[1:]):
        value = 60 * value + part
    return value, Unit(TIME_OF_DAY if half else CLOCK, Fraction(1))
