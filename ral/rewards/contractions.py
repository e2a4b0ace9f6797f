"""English contractions written out: "doesn't" is "does not", "can't" and "cannot" are "can not", "it's" is "it is"."""

from __future__ import annotations

import re

_IRREGULAR = (
    (re.compile(r"\bcan(?:not|['’]t)(?!\w)", re.IGNORECASE), "can not"),
    (re.compile(r"\bwon['’]t(?!\w)", re.IGNORECASE), "will not"),
    (re.compile(r"\bshan['’]t(?!\w)", re.IGNORECASE), "shall not"),
)
_NOT = re.compile(
    r"\b(is|are|was|were|do|does|did|has|have|had|could|would|should|might|must|need)n['’]?t(?!\w)", re.IGNORECASE
)
_IS = re.compile(r"\b(it|he|she|that|there|here|what|who|where|this)['’]s(?!\w)", re.IGNORECASE)
_OTHERS = tuple(
    (re.compile(rf"\b({pronouns})['’]{short}(?!\w)", re.IGNORECASE), rf"\1 {word}")
    for pronouns, short, word in (
        ("they|we|you|there", "re", "are"),
        ("i", "m", "am"),
        ("it|he|she|they|we|you|i|that|there", "ll", "will"),
        ("they|we|you|i", "ve", "have"),
    )
)


def written_out(text: str) -> str:
    """Return a text without its contractions; the 's of a noun may be a genitive and stays."""
    for pattern, words in (*_IRREGULAR, *_OTHERS):
        text = pattern.sub(words, text)
    return _IS.sub(r"\1 is", _NOT.sub(r"\1 not", text))
