"""Boxes and points by their numbers: {"bbox_2d": [1, 2, 3, 4]} and "(1.0, 2), (3, 4)" are [1, 2, 3, 4]."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

_LONGEST = 400  # characters of a text that is read
_KEYS = frozenset(
    ("bbox_2d", "bbox", "box_2d", "box", "bounding_box", "point_2d", "point", "coordinates", "coordinate")
)
_FENCE = re.compile(r"\s*```[A-Za-z]*\s*(?P<inner>.*?)\s*```\s*", re.DOTALL)
_TOKENS = re.compile(r"<\|/?(?:box|point|quad)_(?:start|end)\|>|</?(?:box|bbox|point)>", re.IGNORECASE)
_N = r"[-+−]?\d{1,9}(?:\.\d{1,12})?"
_GROUP = rf"[\[(]\s*{_N}(?:\s*,\s*{_N})+\s*[\])]"
_GROUPS = re.compile(rf"(?:[\[(]\s*)?{_GROUP}(?:\s*,?\s*{_GROUP})*(?:\s*[\])])?")
_BARE = re.compile(rf"{_N}(?:, +{_N})+")
_SET_OFF = re.compile(
    r"\b(?:not|no|never|or|nor|but|except|maybe|perhaps|might|may|could|than|if|whether|without|outside|near|around"
    r"|about|roughly|approximately|interval)\b|n['’]t\b|[?≈~∪{}]",
    re.IGNORECASE,
)
_LED = re.compile(r"\W*[A-Za-z]\s*[.):\]]|.*\b(?:option|answer is) [A-Z]\b", re.IGNORECASE | re.DOTALL)
_PLACE = re.compile(
    r"\b(?:points?|coordinates?|pixels?|position\w*|locat\w+|where|click\w*|tap|cent(?:er|re)s?|cent(?:er|re)d|vertex"
    r"|vertices|corners?|place)\b",
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r"\b(?:left|right|outside|above|below|beside|next|near|close|behind|under|over|between|around|north|south|east|west)"
    r"(?: (?:of|to|from|the|box|point))*\s*$",
    re.IGNORECASE,
)
"""Matches the words in front of coordinates that a thing is beside."""
_PAIRS = {"(": ")", "[": "]"}


class Coordinates(NamedTuple):
    """The numbers of boxes and points in order. style: their opening brackets; "" for none, "place" by a key."""

    numbers: tuple[Fraction, ...]
    style: str


def option_of_coordinates(text: str, options: Mapping[str, str], question: str) -> str | None:
    """Return the letter of the one option whose coordinates a text gives; None for other texts.

    options: {letter: text as written}, all nothing but coordinates. A sentence may stand around one box or point, if it
    denies and doubts nothing and holds no other number. See `_alike` for two numbers.
    """
    own = {letter: read_coordinates(option) for letter, option in options.items()}
    said = read_coordinates(text) or _told(text)
    if said is None or len(own) < 2 or None in own.values():
        return None
    named = [letter for letter, found in own.items() if found and _alike(found, said, question)]
    return named[0] if len(named) == 1 else None


def same_coordinates(gold: str, answer: str, question: str) -> bool:
    """Tell whether gold and answer are nothing but coordinates, and the same."""
    wanted, said = read_coordinates(gold), read_coordinates(answer)
    return wanted is not None and said is not None and _alike(wanted, said, question)


def other_coordinates(text: str, option: str) -> bool:
    """Tell whether a text and an option are nothing but coordinates, of other numbers."""
    said, own = read_coordinates(text), read_coordinates(option)
    return said is not None and own is not None and said.numbers != own.numbers


def read_coordinates(text: str) -> Coordinates | None:
    """Return the coordinates that a text is nothing but, in brackets or bare, in tokens, or in a model's JSON object.

    The object, alone or in a list, has one key such as "bbox_2d". None for a single number and for any other text.
    """
    if len(text) > _LONGEST:
        return None
    fenced = _FENCE.fullmatch(text)
    inner = _TOKENS.sub(" ", fenced["inner"] if fenced else text).strip(" \t\n.`$")
    if inner.lstrip("[ \n\t").startswith("{"):
        return _keyed(inner)
    if not (_GROUPS.fullmatch(inner) and _closed(inner)) and not _BARE.fullmatch(inner):
        return None
    numbers = tuple(Fraction(found.replace("−", "-")) for found in re.findall(_N, inner))
    return Coordinates(numbers, re.sub(r"[^\[(]", "", inner))


def _told(text: str) -> Coordinates | None:
    """Return the one box or point of a sentence; None where it has none, several, a letter, more numbers, a denial."""
    found = list(_GROUPS.finditer(text)) if len(text) <= _LONGEST else []
    if len(found) == 1 and _ASIDE.search(text[: found[0].start()]):
        return None
    if len(found) != 1 or _LED.match(text) or _SET_OFF.search(text) or re.search(r"\d", _GROUPS.sub(" ", text)):
        return None
    return read_coordinates(found[0][0])


def _alike(one: Coordinates, other: Coordinates, question: str) -> bool:
    """Tell whether coordinates are the same numbers in the same order.

    Two numbers may be an interval, of which brackets are a part: where these differ, `question` has to ask for a place,
    or one of the two has to be a place by its key.
    """
    if one.numbers != other.numbers:
        return False
    plain = len(one.numbers) > 2 or one.style == other.style or "place" in (one.style, other.style)
    return plain or _PLACE.search(question) is not None


def _keyed(text: str) -> Coordinates | None:
    """Return the coordinates of a JSON object, or of a list of one, that has one key of _KEYS; else None."""
    try:
        read = json.loads(text, object_pairs_hook=list, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None
    pairs = read[0] if isinstance(read, list) and len(read) == 1 and isinstance(read[0], list) else read
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        return None
    held = [value for key, value in pairs if key.strip().lower() in _KEYS]
    if len(held) != 1 or not isinstance(held[0], list):
        return None
    numbers = [value for value in held[0] if isinstance(value, str) and re.fullmatch(_N, value)]
    return Coordinates(tuple(map(Fraction, numbers)), "place") if 2 <= len(numbers) == len(held[0]) else None


def _closed(text: str) -> bool:
    """Tell whether the brackets of a text close in order, each by its own kind."""
    waiting: list[str] = []
    for mark in re.findall(r"[\[\]()]", text):
        if mark in _PAIRS:
            waiting.append(_PAIRS[mark])
        elif not waiting or waiting.pop() != mark:
            return False
    return not waiting
