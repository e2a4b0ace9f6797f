"""Times of a clock: "3:45", "10:30 AM", "It is 22:30.", 下午3点45分, "15:45 Uhr"."""

from __future__ import annotations

import re
from fractions import Fraction

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


def read_clock(text: str) -> tuple[int, Unit] | None:
    """Return (value, unit) of "3:45", "1:02:03", "10:30 AM" and "10 AM"; None for any other form.

    A clock does not say its unit: "3:45" is 225, which meets 225 alone, "3 min 45 s" and "3 h 45 min". With AM or PM,
    or words such as 下午, it is a time of day, in minutes (in seconds where it gives some) since midnight. None for
    times that no clock has, such as "13:00 AM".
    """
    if found := _TIME.fullmatch(text.strip()):
        parts = [found["first"], found["second"] or found["minutes"], found["third"]]
        return _value([int(part) for part in parts if part], _half(found["han"], found["half"], found["words"]))
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
