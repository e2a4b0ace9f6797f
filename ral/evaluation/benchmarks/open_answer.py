"""Open questions scored as in MMMU (Yue et al.

2023, arXiv 2311.16502): gold numbers or words in a key phrase are right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

KEYS = (
    *("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ", "are ", "in total ", "total "),
    *("identify ", "recognize ", "calculated as ", "counted as ", "measured as ", "observed as ", "concluded as "),
    *("found to be ", "equals ", "determined to be ", "number of ", "value is ", "adds up to ", "have ", "has "),
)
"""Words that introduce an answer. The shortest rest of a sentence behind one of them is the sentence's key phrase."""
_SENTENCES = re.compile(r"\.\s(?=[A-Z])|\n")
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)
MARKS = frozenset(":,.!?;'")
DECIMALS = 2  # that numbers are compared to


def key_phrases(response: str) -> list[str]:
    """Return the key phrase of each sentence that has one, in lower case; [response] where none has."""
    sentences = _SENTENCES.split(response.strip().strip(".").lower())
    found = []
    for place, words in enumerate(sentences):
        keys = (*KEYS, "=") if place == len(sentences) - 1 else KEYS
        rests = [words.split(key)[-1].strip() for key in keys if key in words]
        shortest = min((r for r in rests if r), key=len, default="")
        if shortest and shortest not in MARKS:
            found.append(shortest)
    return found or [response]


def normal(text: str) -> list[str | float]:
    """Return the forms in which a text is compared: its number rounded to DECIMALS, or the text in lower case.

    A single character gives two forms: with a space in front, and with a space behind.
    """
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), DECIMALS)]
    except ValueError:
        text = text.lower()
        return [f" {text}", f"{text} "] if len(text) == 1 else [text]


def predictions(response: str) -> list[str | float]:
    """Return the forms (`normal`) of all candidates for a response's answer: key phrases and the numbers in them."""
    phrases = key_phrases(response)
    numbers = [number for phrase in phrases for pattern in _NUMBERS for number in pattern.findall(phrase)]
    return [value for text in (*phrases, *numbers) for value in normal(text)]


def right(response: str, golds: Sequence[str]) -> bool:
    """Tell whether a number of the response equals a gold number, or a key phrase contains a gold answer's words."""
    wanted = [value for gold in golds for value in normal(gold)]
    for found in predictions(response):
        if isinstance(found, str) and any(isinstance(w, str) and w in found for w in wanted):
            return True
        if not isinstance(found, str) and found in wanted:
            return True
    return False
