"""The option of a question that has the value of an answer: "1" is 1.0, "$5" is "5.00 dollars", 50% is 0.5."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from functools import lru_cache

from ral.options import lettered
from ral.rewards.changes import direction
from ral.rewards.claims import UNSURE
from ral.rewards.mentions import SETS_OFF
from ral.rewards.number_words import read_words
from ral.rewards.numbers import FORMULA_STEP, Number, in_terms_of, parse_number
from ral.rewards.ranges import option_of_range
from ral.rewards.told_changes import HEDGED, option_of_change
from ral.rewards.units import CLOCK, TIME_OF_DAY

FEWEST_DIGITS = 2  # of a decimal that names a fraction: 0.33 names 1/3, 0.3 may be 3/10
HALF_A_DAY = 12 * 60  # minutes
_ENDS = " .。,!"
_ONLY_NUMBER = re.compile(r"[\s$€£¥]*[-+]?\d[\d.,/\s]*(?:[%°]|[^\W\d_]{1,12})?[\s.。!]*")
_WORD = re.compile(r"[^\W\d_]+")
_COMMAND = re.compile(r"\\[A-Za-z]+")


def option_of_value(text: str, options: Sequence[str]) -> str | None:
    """Return the letter of the one option that is the same number; else None, also where several are.

    Where no option is, a decimal of FEWEST_DIGITS digits or more names the one option that it rounds or is cut off
    from, if that is a fraction, a root or a multiple of π: 0.33 and 0.333 name 1/3, 0.66 and 0.667 name 2/3, 0.3 names
    none. Words count: "3 cats" is not "3 dogs", while "3" is; to a bare number "there are three cats" is the same, and
    an answer that doubts or sets off ("maybe 3", "other than 3") is not. Where an option tells a change ("a loss of
    3 kg"), an answer that tells one without doubt names the same change, and not the plain "3 kg" (`told_changes`).
    """
    if (changed := option_of_change(text, options)) is not None:
        return changed or None
    number = parse_number(text)
    if number is None or not options:
        return None
    ways = _ways(tuple(options))
    told = direction(text) if any(ways.values()) else 0
    said, sure = set(_words(text)), not SETS_OFF.search(text) and not UNSURE.search(text)
    if told and (not sure or HEDGED.search(text)):
        return None
    if any(_other_half(own, number) for own, _ in _values(tuple(options)).values()):
        return None
    alike = {
        letter: own
        for letter, (own, words) in _values(tuple(options)).items()
        if own
        and own.bound == number.bound
        and (not told or ways[letter] == told)
        and (said <= words or (sure and not words) or _both_measured(own, number))
    }
    named = [letter for letter, own in alike.items() if own.value in in_terms_of(own, number)]
    if not named and len(near := [letter for letter, own in alike.items() if _rounds(own, number)]) == 1:
        named = near if _exact(alike[near[0]]) else []
    return named[0] if len(named) == 1 else None


@lru_cache(maxsize=4096)
def _ways(options: tuple[str, ...]) -> dict[str, int]:
    """Return {letter: direction of the change that the option tells}, 0 where it tells none."""
    own = lettered(options) or dict(zip(string.ascii_uppercase, options, strict=False))
    return {letter: direction(text) for letter, text in own.items()}


def _exact(number: Number) -> bool:
    """Tell whether a number is written as a fraction, a root or with π, so that its decimals may never end."""
    return not number.whole and number.step <= abs(number.value) * FORMULA_STEP


def _rounds(option: Number, answer: Number) -> bool:
    """Tell whether the digits of an answer, FEWEST_DIGITS or more, are those of an option, rounded or cut off."""
    if not answer.step or not answer.value or abs(answer.value) < answer.step * 10 ** (FEWEST_DIGITS - 1):
        return False
    for value in in_terms_of(option, answer):
        step = answer.step * abs(value / answer.value)
        if value * option.value > 0 and -step / 2 <= abs(option.value) - abs(value) < step:
            return True
    return False


def other_number(text: str, options: Sequence[str], letter: str) -> bool:
    """Tell whether the text behind an option's letter is nothing but a number, and another one than the option's.

    "180" behind the letter of "18" is, and "8 people" behind that of "1-5"; words, and numbers beside an option that is
    none, are not.
    """
    ranged = option_of_range(text, lettered(tuple(options)) or dict(zip(string.ascii_uppercase, options, strict=False)))
    if ranged is not None:
        return ranged != letter
    own = _values(tuple(options)).get(letter, (None, frozenset()))[0]
    bare = _ONLY_NUMBER.fullmatch(text) or ((words := read_words(text)) and not words.rest)
    number = parse_number(text) if bare and own else None
    return (
        own is not None
        and number is not None
        and own.value not in in_terms_of(own, number)
        and not _rounds(own, number)
    )


def values_differ_in_unit(text: str, options: Sequence[str]) -> bool:
    """Tell whether an answer without a unit may be several options that have one: "5" of "$5" and "5 €".

    False where an option is the answer word for word.
    """
    number = parse_number(text)
    if number is None or number.unit is not None or not options:
        return False
    own = list((lettered(tuple(options)) or {}).values()) or options
    if any(option.strip(_ENDS).casefold() == text.strip(_ENDS).casefold() for option in own):
        return False
    values = [
        option for option, _ in _values(tuple(options)).values() if option is not None and option.unit is not None
    ]
    return sum(option.value == number.value for option in values) > 1


def _both_measured(option: Number, answer: Number) -> bool:
    return option.unit is not None and answer.unit is not None


def _other_half(option: Number | None, answer: Number) -> bool:
    """Tell whether an option is the time of day twelve hours from a clock's: "10:30 PM" beside "10:30"."""
    if option is None or option.unit is None or answer.unit is None or answer.unit.dimension != CLOCK:
        return False
    may_be_either = answer.value < HALF_A_DAY + 60 and abs(option.value - answer.value) == HALF_A_DAY
    return option.unit.dimension == TIME_OF_DAY and may_be_either


@lru_cache(maxsize=4096)
def _values(options: tuple[str, ...]) -> dict[str, tuple[Number | None, frozenset[str]]]:
    """Return {letter: (its number, its words)}."""
    texts = lettered(options) or dict(zip(string.ascii_uppercase, options, strict=False))
    return {letter: (parse_number(text), frozenset(_words(text))) for letter, text in texts.items()}


def _words(text: str) -> list[str]:
    """Return the words of a text in small letters, without LaTeX's commands."""
    return _WORD.findall(_COMMAND.sub(" ", text).casefold())
