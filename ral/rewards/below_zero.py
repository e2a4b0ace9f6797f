"""Negative numbers in words: "5 below zero", "five degrees below zero", "5 bajo cero", 零下5, 영하 5, "moins 5"."""

from __future__ import annotations

import re

from ral.rewards.number_words import SMALL, TENS

_WORD = "|".join((*list(SMALL)[1:], *TENS, "hundred"))
_WORDS = rf"(?:(?:a )?(?:{_WORD})(?:[ -](?:and )?(?:{_WORD}))*(?: (?:point(?: (?:{_WORD}|zero))+|and a half))?)"
_DEGREES = (
    r"(?:degrees?|deg\.?|grados?|graus?|gradi|grad|degrés?|graden|градус\w*|°)(?:\s?(?:celsius|fahrenheit|[cf])\b)?"
)
_UNIT = rf"(?:\s*{_DEGREES}|\s*°?[CF]\b|\s+(?:points?|units?))?"
_ZERO = (
    r"(?:(?:below|under|less than|beneath) (?:zero|0|nought)|unter null|bajo cero|abaixo de zero|sotto (?:lo )?zero"
    r"|(?:sous|au-dessous de|en dessous de) z[ée]ro|onder nul|ниже нуля)"
)
_NUMBER = rf"(?P<sign>-\s*|\b(?:minus|negative) )?(?P<number>(?<![\w.,])\d[\d.,]*|\b{_WORDS})"
_BELOW = re.compile(rf"{_NUMBER}(?P<unit>{_UNIT})\s*[,(]?\s*{_ZERO}\b\)?", re.IGNORECASE)
_DEGREES_BELOW = re.compile(rf"{_NUMBER}(?P<unit>\s*{_DEGREES}) below(?=[\s.!]*$)", re.IGNORECASE)
_ABOVE = re.compile(r"\s*[,(]?\s*\babove (?:zero|0|nought)\b\)?", re.IGNORECASE)
_AHEAD = re.compile(
    r"(?:氷点下|冰点以下|零度以下|零下|マイナス|영하|마이너스|\b(?:moins|menos|meno|минус))\s*(?=\d)", re.IGNORECASE
)
FREEZING = re.compile(r"\b(?:below|under) (?:freezing|the freezing point)\b", re.IGNORECASE)
"""Matches what counts from 0 °C, or from 32 °F: it is not said which."""


def below_zero(text: str) -> str:
    """Return a text with its numbers below zero written with a minus: "-5" for "5 below zero", "5 bajo cero" or 零下5.

    A number in words gets the word: "minus five" for "five below zero". "above zero" is left out: "5" for "5 above
    zero". "5 degrees below" becomes "-5 degrees" at the end of the text alone; "5 below" stays, since it may count what
    lies below something.
    """
    text = _AHEAD.sub("-", _ABOVE.sub("", text))
    for pattern in (_BELOW, _DEGREES_BELOW):
        text = pattern.sub(_negative, text)
    return text


def _negative(found: re.Match[str]) -> str:
    number = found["number"]
    return f"{'-' if number[0].isdigit() else 'minus '}{number}{found['unit']}"
