"""How alike two texts are: word error rate, ROUGE, and equality after normalisation.

jiwer and rouge-score are imported at their first use: together they take half a second.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Any

_END_MARKS = re.compile(r"(?<![.,;:!?…])[.,;:!?…]++(?=\s|$)")
_MARKS = re.compile(r"(?<!\d)[^\w\s](?!\d)")  # but not the "-" of "-5", the "." of "3.5" or the "%" of "50%"


def word_error_rate(gold: str, answer: str) -> float:
    """Word error rate of `answer` against `gold`: edits of words / words of gold; may exceed 1. Words as written.

    An empty gold text has rate 0 against an empty answer and 1 against any other.
    """
    return float(_jiwer().wer(" ".join(gold.split()), " ".join(answer.split())))


def rouge(gold: str, answer: str) -> float:
    """Mean F-measure of ROUGE-1, ROUGE-2 and ROUGE-L with stemming, in [0, 1] (Lin 2004)."""
    scores = _scorer().score(gold, answer)
    return float(sum(score.fmeasure for score in scores.values()) / len(scores))


def one_line(text: str) -> str:
    """Text with composed characters, one case and single blanks: what OCR answers are compared on."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def bare_words(text: str) -> str:
    """Text without case, width, white space and punctuation; a text of nothing but punctuation keeps it."""
    line = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    bare = _MARKS.sub("", _END_MARKS.sub("", line))
    return " ".join(bare.split()) or line


@cache
def _jiwer() -> Any:
    import jiwer

    return jiwer


@cache
def _scorer() -> Any:
    """The one ROUGE scorer: building its stemmer for every response would cost more than the scoring."""
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
