"""Options that are ranges of numbers: "7" and "8 people, so 6-10" are "6-10", "25" and "over 20" are "More than 20"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

from ral.rewards.number_words import SMALL

_LONGEST = 100  # characters of such an answer
_N = r"\d{1,9}(?:\.\d+)?"
_TEN_NAMES = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {name: 10 * n for n, name in enumerate(_TEN_NAMES.split(), start=2)}
_WORDS = {**SMALL, **_TENS}
_COUNT = rf"(?:{_N}|{'|'.join(sorted(_WORDS, key=len, reverse=True))})"
_BETWEEN = rf"(?:between |from )?(?P<low>{_COUNT}) ?(?:-|–|—|to|and) ?(?P<high>{_COUNT})"
_OVER = rf"(?P<over>(?:more|greater) than|over|above|>) ?(?P<least>{_COUNT})"
_UNDER = rf"(?P<under>(?:less|fewer) than|under|below|<) ?(?P<most>{_COUNT})"
_RANGE = re.compile(rf"(?:{_BETWEEN}|{_OVER}|{_UNDER})(?: (?P<thing>[a-z]+))?", re.IGNORECASE)
_THERE = r"(?:(?:there (?:is|are)|there's|i (?:see|count)|it is|it's|they are|the answer is) )?"
_IN_PICTURE = r"(?: in (?:the|this) (?:picture|image|photo|video|scene))?"
_TOLD = re.compile(
    rf"{_THERE}(?:exactly )?(?P<count>{_COUNT})(?: (?P<thing>[a-z]+))?{_IN_PICTURE}"
    r"(?:(?:, so(?: the answer is)?|\. (?:so,? )?the answer is|, which is in(?: the range)?(?: of)?|,? \()"
    r" ?(?P<range>[^(),.]+)\)?)?",
    re.IGNORECASE,
)
_SAID = re.compile(rf"{_THERE}(?P<range>.+?){_IN_PICTURE}", re.IGNORECASE)
_OTHER_SIZE = re.compile(
    r"(?:hundred|thousand|million|billion|dozen|pair|couple|group|set|row|score|percent|or|and|more|less|fewer|other"
    r"|another|extra|additional|plus|not|no|at|to|than|times|th|st|nd|rd)s?",
    re.IGNORECASE,
)
"""Words behind a number with which it is no plain count."""


class Range(NamedTuple):
    """A range of numbers and what is counted. The ends `low` and `high` belong to it where `closed`."""

    low: float
    high: float
    closed: bool
    thing: str

    def holds(self, number: float) -> bool:
        """Tell whether a number lies in the range."""
        return self.low <= number <= self.high if self.closed else self.low < number < self.high


def option_of_range(text: str, options: Mapping[str, str]) -> str | None:
    """Return the letter of the one option that a text's range is, or in which its number lies; None for other texts.

    options: {letter: text}; all have to be ranges of the same thing that do not overlap. A number with a range behind
    it has to lie in that.
    """
    line, own = _line(text), _ranges(options)
    told = _TOLD.fullmatch(line) if own else None
    if told is None:
        said = _SAID.fullmatch(line) if own else None
        return _named(_range(said["range"]), own) if said else None
    named = _holding(told, own)
    if told["range"] and [_named(_range(told["range"]), own)] != named:
        return None
    return named[0] if len(named) == 1 else None


def two_ranges(text: str, options: Mapping[str, str]) -> bool:
    """Tell whether a text names a range in which its own number does not lie: "8 people, so 1-5".

    options: as in `option_of_range`.
    """
    own = _ranges(options)
    told = _TOLD.fullmatch(_line(text)) if own else None
    named = _named(_range(told["range"]), own) if told and told["range"] else None
    return told is not None and named is not None and [named] != _holding(told, own)


def _line(text: str) -> str:
    """Return a text as one line without a full stop; "" for a long one."""
    line = " ".join(text.split()).rstrip(" .!")
    return line if len(line) <= _LONGEST else ""


def _ranges(options: Mapping[str, str]) -> dict[str, Range]:
    """Return {letter: range} of options that all are ranges of the same thing and do not overlap; else {}."""
    own = {letter: found for letter, option in options.items() if (found := _range(option.strip(" .")))}
    things = {found.thing for found in own.values()}
    ends = sorted((found.low, found.high) for found in own.values())
    apart = all(first[1] <= later[0] for first, later in pairwise(ends))
    return own if len(own) >= max(2, len(options)) and len(things) == 1 and apart else {}


def _holding(told: re.Match[str], own: Mapping[str, Range]) -> list[str]:
    """Return the letters of the ranges in which a told number lies; [] where it counts another thing."""
    thing = told["thing"] or ""
    if _OTHER_SIZE.fullmatch(thing) or not _same(thing, next(iter(own.values())).thing):
        return []
    number = _value(told["count"])
    return [letter for letter, found in own.items() if found.holds(number)]


def _range(text: str) -> Range | None:
    """Return the range that a text is: "6-10", "over 20 people"; None for other texts."""
    found = _RANGE.fullmatch(text)
    if found is None or _OTHER_SIZE.fullmatch(found["thing"] or ""):
        return None
    thing = (found["thing"] or "").lower()
    if found["over"]:
        return Range(_value(found["least"]), float("inf"), False, thing)
    if found["under"]:
        return Range(float("-inf"), _value(found["most"]), False, thing)
    low, high = _value(found["low"]), _value(found["high"])
    return Range(low, high, True, thing) if low < high else None


def _named(said: Range | None, options: Mapping[str, Range]) -> str | None:
    """Return the letter of the one option that is a range, of the same thing where both name one."""
    named = [letter for letter, own in options.items() if said and own[:3] == said[:3] and _same(said.thing, own.thing)]
    return named[0] if len(named) == 1 else None


def _same(thing: str, own: str) -> bool:
    """Tell whether a count's noun may be the options': one of both names none, or both name the same."""
    return not thing or not own or thing.lower().rstrip("s") == own.rstrip("s")


def _value(count: str) -> float:
    """Return the number of "7" or "seven"."""
    return float(_WORDS[count.lower()]) if count.lower() in _WORDS else float(count)
