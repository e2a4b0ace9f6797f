"""Sizes of the things that a distance is measured to: "2.5 m from the table, which is 1 m wide" is 2.5 m."""

from __future__ import annotations

import re

LONGEST = 120
"""Characters of an answer that is read so."""
_ASKED_BY = {
    "wide": "wide|width|broad",
    "long": "long|length",
    "tall": "tall|high|height",
    "high": "tall|high|height",
    "deep": "deep|depth",
    "thick": "thick|thickness",
    "across": "across|diameter|wide|width",
}
"""Word of a size -> words by which a question asks for that size."""
_SIZE = rf"\d[\d.,]*[ -]?[a-z]+[ -](?P<word>{'|'.join(_ASKED_BY)})"
_TO = r"(?:from|to|behind|above|below|under|over|beyond|past|in front of)"
_BEHIND = re.compile(
    rf"(?P<said>.*\d.* {_TO} (?:the|an?|this|that) [a-z]+(?: [a-z]+){{0,2}}?)"
    rf"(?:,? (?:which|that) (?:is|was) |,? (?:which|that) measures |,? \(| ){_SIZE}\)?[\s.]*",
    re.IGNORECASE | re.DOTALL,
)
_BEFORE = re.compile(
    rf"(?P<said>.*\d.* {_TO} (?:the|an?|this|that)) {_SIZE}(?P<thing> [a-z]+)[\s.]*", re.IGNORECASE | re.DOTALL
)
_DOUBT = re.compile(
    r"\b(?:not|never|or|nor|maybe|perhaps|possibly|probably|might|may|could|if|whether|unless|instead|but|than|wrong"
    r"|and)\b|n['’]t\b|[?？≠<>≤≥≈±]",
    re.IGNORECASE,
)


def without_landmark_size(answer: str, question: str) -> str | None:
    """Return a distance without the size of the thing that it is measured to: "2.5 m from the table".

    The size stands behind the thing ("the table, which is 1 m wide", "the table (1 m wide)") or before it ("the 1 m
    wide table"). None for any other answer, for one in doubt, and where the question asks for such
    a size.
    """
    if len(answer) > LONGEST:
        return None
    found = _BEHIND.fullmatch(answer) or _BEFORE.fullmatch(answer)
    if found is None or _DOUBT.search(answer):
        return None
    if re.search(rf"\b(?:{_ASKED_BY[found['word'].lower()]})\b", question, re.IGNORECASE):
        return None
    return found["said"] + (found.groupdict().get("thing") or "")
