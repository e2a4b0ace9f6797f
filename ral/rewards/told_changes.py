"""Answers that are a change from end to end, by direction and size: "Decrease by 5%", "a 5% drop", "it fell 5%"."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from ral.options import lettered
from ral.rewards.changes import DOWN, LESS, LINK, MORE, UP
from ral.rewards.numbers import Number, in_terms_of, parse_number

LONGEST = 80
"""Characters of an answer that is read as a change."""
HEDGED = re.compile(
    r"\b(?:might|may|could|perhaps|maybe|possibly|probably|if|unless|whether|hardly|barely|almost|nearly|failed"
    r"|expected|instead|rather)\b",
    re.IGNORECASE,
)
"""Words by which a change is not said to have been made, or not by that size."""
_OTHER = (
    "no|not|never|if|an?|might|may|could|should|would|must|can|cannot|will|perhaps|maybe|possibly|hardly|barely|almost"
    "|nearly|rarely|neither|nor|without|nothing|none|nobody|unless|when|expected|failed|instead"
)
_NAME = rf"(?!(?:{_OTHER}|{DOWN}|{UP})\b)[a-z]+(?: (?:of|in) [a-z]+)?"
_SUBJECT = (
    rf"(?:(?:it|they|this|that|there|(?:the |its |their )?{_NAME})"
    r"(?: (?:is|was|are|were|has|have|had|shows?|showed|has been|had been))?[ '’]+)?"
)
_AMOUNT = r"(?P<amount{0}>[$€£¥]?\d[\d,]*(?:\.\d+)?(?: ?%| ?[a-z²³]+(?: points?)?)?|[a-z]+(?:[- ][a-z]+){{0,3}})"
_SIZED = re.compile(
    r"\b(?:from|to|or|and|than|a|an|not|no|by|of|times|fold|half|twice)\b|" + rf"\b(?:{DOWN}|{UP})\b", re.I
)
_WORDS = re.compile(r"[\d.,\s]+")


@dataclass(frozen=True)
class Change:
    """A change by a size above zero. sign: 1 for up, -1 for down. words: what stands around the digits, such as "%"."""

    sign: int
    size: Number
    words: str


def _pattern(moved: str, compared: str) -> re.Pattern[str]:
    """Return the pattern of a whole text that is a change in one direction."""
    first = rf"(?:an? |the )?{moved}{LINK} {_AMOUNT.format(1)}(?: {compared})?"
    behind = rf"(?:(?:an?|the|by) )?{_AMOUNT.format(2)} (?:{moved}|{compared})"
    return re.compile(rf"{_SUBJECT}(?:{first}|{behind})", re.IGNORECASE)


_CHANGES = {-1: _pattern(DOWN, f"(?:{LESS})"), 1: _pattern(UP, f"(?:{MORE})")}


@lru_cache(maxsize=4096)
def change_of(text: str) -> Change | None:
    """Return the change that a text is, from its first word to its last; None for any other text.

    A bound ("by at least 5%"), a change to or from a value, two amounts and a denial are none.
    """
    line = " ".join(text.split()).rstrip(" .!。")
    if len(line) > LONGEST:
        return None
    found = [(sign, match) for sign, pattern in _CHANGES.items() if (match := pattern.fullmatch(line))]
    if len(found) != 1:
        return None
    sign, match = found[0]
    amount = match["amount1"] or match["amount2"]
    size = None if _SIZED.search(amount) else parse_number(amount)
    if size is None or size.bound or size.value <= 0:
        return None
    return Change(sign, size, " ".join(_WORDS.sub(" ", amount).casefold().split()))


def same_change(one: Change, other: Change) -> bool:
    """Tell whether two changes are one: the same direction, and the same size in the same or a known other unit.

    Things that are counted have to be the same where both name them; "points" and percent are not.
    """
    if one.sign != other.sign or ("point" in one.words) != ("point" in other.words):
        return False
    if (one.size.unit is None) != (other.size.unit is None):
        return False
    counted = {_counted(one), _counted(other)} - {""}
    if one.size.unit is None and len(counted) > 1:
        return False
    return one.size.value in in_terms_of(one.size, other.size)


def _counted(change: Change) -> str:
    """Return what is counted: the last word of the amount where it is written in digits or words, "" for none."""
    last = change.words.rpartition(" ")[2]
    return "" if parse_number(last) is not None else last


def option_of_change(answer: str, options: Sequence[str]) -> str | None:
    """Return the letter of the one option that is the same change as the answer; "" where no option is, or several are.

    None where the answer is no change, or no option is one.
    """
    said = change_of(answer)
    own = lettered(tuple(options)) or dict(zip(string.ascii_uppercase, options, strict=False))
    changes = {letter: change for letter, text in own.items() if (change := change_of(text)) is not None}
    if said is None or not changes:
        return None
    named = [letter for letter, change in changes.items() if same_change(change, said)]
    return named[0] if len(named) == 1 else ""
