"""The option that two things are equal: "There are as many cats as dogs" is "The same number"."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ral.rewards.claims import UNSURE
from ral.rewards.mentions import mentions

_LONGEST = 150  # characters of such an answer
_EQUAL = r"(?:same|equal(?:ly|s)?|identical|as many)"
_IS_EQUAL = re.compile(rf"\b{_EQUAL}\b|\b(?:a tie|tied)\b", re.IGNORECASE)
_SAME_THING = re.compile(
    r"\b(?:same|equal|identical) (?!in\b|for\b|as\b|to\b|of\b)(?P<thing>[a-z]+?)s?\b", re.IGNORECASE
)
_NOUNS = {
    "heavi": "weight mass", "light": "weight mass", "larg": "size", "bigg": "size", "small": "size",
    "tall": "height size", "short": "height length size", "long": "length", "high": "height level",
    "low": "height level", "fast": "speed",
    "slow": "speed", "old": "age", "young": "age", "hott": "temperature", "warm": "temperature", "cold": "temperature",
    "wid": "width", "deep": "depth", "thick": "thickness", "bright": "brightness",
    "clos": "distance", "near": "distance",
    "far": "distance",
}  # fmt: skip
"""First letters of a comparative -> the nouns of what it compares."""
_AMOUNT = frozenset(("number", "amount", "quantity", "count", "many", "total"))
_SET_OFF = re.compile(
    r"\b(?:not|no|nor|never|neither|without|except|but|although|though|if|unless|whether|or|maybe|perhaps|might|may"
    r"|could|than|almost|nearly|about|roughly|approximately|around|close to|more|less|fewer|different|twice|half|times"
    r"|un\w+|wrong|false|only|most|least|\w+er(?= (?:is|are)\b))\b|n['’]t\b|[?\d]",
    re.IGNORECASE,
)
_COMPARES = re.compile(r"\b(?:more|fewer|less|most|fewest|least|compare\w*|[a-z]+er)\b", re.IGNORECASE)


def option_of_equal(text: str, options: Mapping[str, str], question: str) -> str | None:
    """Return the letter of the one option that things are equal, where a text says so of the others; else None.

    options: {letter: text}. The question has to compare ("Are there more ... or ...?"). Of the other options the text
    may name all or none, and what is "the same" has to be a number, what the question compares, or a word of it or of
    that option: "the same colour" is not "the same number". None for a text that doubts, denies, compares otherwise or
    holds digits, but for one number said of both.
    """
    line = " ".join(text.split())
    equal = [letter for letter, own in options.items() if _IS_EQUAL.search(own) and not _SET_OFF.search(own)]
    counts = re.findall(r"\d+", line)
    if len(counts) > 1 and len(set(counts)) == 1:  # "3 cats and 3 dogs"
        line = re.sub(r"\d+ ", "", line)
    if len(equal) != 1 or len(line) > _LONGEST or not _IS_EQUAL.search(line) or not _COMPARES.search(question):
        return None
    if _SET_OFF.search(line) or UNSURE.search(line):
        return None
    others = {letter: own.casefold() for letter, own in options.items() if letter not in equal}
    named = {letter for letter, *_ in mentions(line, others)}
    asked = {word.rstrip("s") for word in re.findall(r"[a-z]+", f"{question} {options[equal[0]]}".casefold())}
    nouns = {noun for word in asked for begin, own in _NOUNS.items() if word.startswith(begin) for noun in own.split()}
    things = {found["thing"].casefold() for found in _SAME_THING.finditer(line)}
    return equal[0] if len(named) in (0, len(others)) and things <= asked | nouns | _AMOUNT else None
