"""Sentences that compare: "A has a higher temperature than B" is an answer A where its question asks for just that.

What stands behind "than", "compared to", "unlike", "rather than" and "instead of" is not the answer.
"""

from __future__ import annotations

import re

_COMPARATIVE = re.compile(
    r"\b(?:higher|lower|closer|nearer|farther|further|larger|smaller|bigger|greater|taller|shorter|longer|heavier"
    r"|lighter|faster|slower|quicker|older|younger|newer|wider|narrower|broader|hotter|warmer|colder|cooler|more|less"
    r"|fewer|stronger|weaker|brighter|darker|earlier|later|sooner|deeper|shallower|better|worse|thicker|thinner|harder"
    r"|softer|louder|quieter|steeper|fuller|emptier|richer|poorer|cheaper|denser|cleaner|dirtier|safer|rougher"
    r"|smoother|sharper|simpler|easier|busier|happier|sadder|hungrier|drier|wetter|rounder|straighter|fatter)\b",
    re.IGNORECASE,
)
_OTHER = r"(?P<other>[^,;:.?!]{1,60})"
_PLACED = r"(?:than|compared (?:to|with)|in comparison (?:to|with)|unlike|rather than|instead of|as opposed to)"
_BEHIND = re.compile(rf"(?P<said>.+?),? (?P<word>{_PLACED}) {_OTHER}[\s.!]*", re.IGNORECASE)
_AHEAD = re.compile(
    rf"(?P<word>compared (?:to|with)|in comparison (?:to|with)|unlike|rather than|instead of) {_OTHER}, (?P<said>.+)",
    re.IGNORECASE,
)
_TURNED = re.compile(
    r"\b(?:not|no|never|except|least|half|twice|times|much as|same|equal\w*|without|if|unless)\b|n['’]t\b",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[^\W_]+")


def compared(line: str, question: str) -> tuple[str, str] | None:
    """Return (what a sentence states, the thing that it compares with); None where it compares in no way that its
    question asks for.

    "The chair is closer to the table than the lamp" gives ("The chair is closer to the table", "the lamp"). The
    sentence needs one comparative, and `question` has to have the same one and all words behind it ("to the table").
    With "rather than", "instead of", "unlike" and "as opposed to" a sentence without a comparative counts too. None
    also where the sentence or the question has a negation, "twice", "same" or the like.
    """
    found = _AHEAD.fullmatch(line) or _BEHIND.fullmatch(line)
    if found is None or _TURNED.search(line) or _TURNED.search(question):
        return None
    if re.search(rf"\b{_PLACED}\b", found["said"], re.IGNORECASE):
        return None
    degrees, asked = _comparatives(found["said"]), _comparatives(question)
    needed = not re.match(r"(?:unlike|rather|instead|as)\b", found["word"], re.IGNORECASE)
    if (degrees or needed) and (degrees != asked or len(degrees) != 1):
        return None
    behind = _COMPARATIVE.split(found["said"])[-1] if degrees else ""
    if not _words(behind) <= _words(question):
        return None
    return found["said"], found["other"]


def as_asked_for(text: str, question: str) -> bool:
    """Tell whether a text has one comparative, and `question` the same: "the lamp is closer" to "Which is closer?"."""
    degrees = _comparatives(text)
    return len(degrees) == 1 and degrees == _comparatives(question) and not _TURNED.search(question)


def _comparatives(text: str) -> set[str]:
    return {found[0].lower() for found in _COMPARATIVE.finditer(text)}


def _words(text: str) -> set[str]:
    return {word.casefold() for word in _WORDS.findall(text)}
