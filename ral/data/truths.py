"""Truth values as options and as gold answers: true and false, "Yes" and "No", 对 and 错 are matched by value."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

PAIRS = (
    *(("true", "false"), ("yes", "no"), ("on", "off"), ("t", "f"), ("y", "n"), ("correct", "incorrect")),
    *(("right", "wrong"), ("是", "否"), ("是", "不是"), ("对", "错"), ("對", "錯"), ("正确", "错误"), ("正確", "錯誤")),
)
"""Pairs of words for true and false."""
VALUES = {word: value for pair in PAIRS for word, value in zip(pair, (True, False), strict=True)}
NOTHING = frozenset({"none", "null"})
"""Options that a gold answer of null may mean."""


def plain(text: str) -> str:
    """Return a text in one width and lower case, without marks at its ends."""
    return unicodedata.normalize("NFKC", text).casefold().strip(" .!。")


def by_truth(texts: Mapping[str, str], answer: str) -> list[str]:
    """Return the letters of the options that mean the same truth value as the answer; [] where it means none.

    texts: {letter: option}. An option counts only where its opposite is an option too: "right" beside "wrong", not
    beside "left".
    """
    value = VALUES.get(plain(answer))
    said = {letter: plain(text) for letter, text in texts.items()}
    pairs = [pair for pair in PAIRS if value is not None and set(pair) <= set(said.values())]
    words = {pair[0 if value else 1] for pair in pairs}
    return [letter for letter, text in said.items() if text in words]
