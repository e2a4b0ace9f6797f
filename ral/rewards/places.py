"""Numbered pictures as options: "the third one" and "the 3rd image" are "Image 3", "Image 2" is "The second image"."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ral.rewards.number_words import SMALL

_LONGEST = 160  # characters of such an answer
_NAMES = "first second third fourth fifth sixth seventh eighth ninth tenth"
_ORDINALS = {name: place for place, name in enumerate(_NAMES.split(), start=1)}
_NOUNS = "image|picture|photo|figure|frame|panel|clip|video"
_NOUN = rf"(?P<noun>{_NOUNS})"
_ORDINAL = rf"(?P<ordinal>{'|'.join(_ORDINALS)}|\d(?:st|nd|rd|th))"
_NUMBER = rf"(?:#|no\. ?|number )?(?P<number>[1-9]|{'|'.join(name for name, n in SMALL.items() if 1 <= n <= 9)})"
_ONE = rf"(?:one|{_NOUNS})"
_OWN = re.compile(rf"(?:{_NOUN} {_NUMBER}|(?:the )?{_ORDINAL} {_NOUN.replace('<noun>', '<other>')})", re.IGNORECASE)
_ALONE = re.compile(
    rf"(?:(?:it is|it's|in|it is in) )?(?:only )?"
    rf"(?:{_NOUN} {_NUMBER}|(?:the )?{_ORDINAL}(?: (?:one|{_NOUN.replace('<noun>', '<other>')}))?)",
    re.IGNORECASE,
)
_ASKED = re.compile(
    rf"which {_NOUN} (?:shows|has|contains) (?P<thing>(?:an? |the )?[a-z]+(?: [a-z]+)?)[?.]?", re.IGNORECASE
)
_HAS = re.compile(
    rf"(?P<place>(?:only )?(?:{_NOUN} \S+|(?:the )?{_ORDINAL} {_ONE}))"
    r" (?:shows|has|contains) (?P<thing>(?:an? |the )?[a-z]+(?: [a-z]+)?)",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"(?:,? while|,? whereas|;|,) ")


def option_of_place(text: str, options: Mapping[str, str], question: str) -> str | None:
    """Return the letter of the one option whose number or ordinal a text says; None for other texts.

    options: {letter: text as written}; at least two have to be such numbers or ordinals, of one noun. A text of several
    clauses ("Image 3 shows a dog, while Image 1 shows a cat") names the one of which it says what `question` asks.
    """
    found = {letter: match for letter, option in options.items() if (match := _OWN.fullmatch(option.strip(" .")))}
    nouns = {(match["noun"] or match["other"]).lower() for match in found.values()}
    own = {letter: _place(match) for letter, match in found.items()}
    line = " ".join(text.split()).rstrip(" .!")
    if len(own) < 2 or len(nouns) != 1 or len(line) > _LONGEST:
        return None
    said = _said(line, question, next(iter(nouns)))
    named = [letter for letter, place in own.items() if place == said]
    return named[0] if len(named) == 1 else None


def _said(line: str, question: str, noun: str) -> int | None:
    """Return the number that a line says alone, or of which it says what the question asks for."""
    if alone := _ALONE.fullmatch(line):
        return _place(alone) if (alone["noun"] or alone["other"] or noun).lower() == noun else None
    asked = _ASKED.fullmatch(question.strip())
    clauses = [_HAS.fullmatch(clause) for clause in _BETWEEN.split(line)]
    if asked is None or None in clauses:
        return None
    things = [(_said(clause["place"], "", noun), clause["thing"].lower()) for clause in clauses if clause]
    places = [place for place, thing in things if thing == asked["thing"].lower()]
    return places[0] if len(places) == 1 else None


def _place(found: re.Match[str]) -> int:
    """Return the number of a match: 3 for "third", "3rd", "3" and "three"."""
    if ordinal := found["ordinal"]:
        return _ORDINALS.get(ordinal.lower()) or int(ordinal[0])
    number = found["number"].lower()
    return SMALL[number] if number in SMALL else int(number)
