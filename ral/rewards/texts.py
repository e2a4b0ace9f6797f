"""Similarity of two texts: word error rate, ROUGE, and equality after normalisation.

jiwer and rouge-score are imported at their first use, since the two imports take half a second.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Any

from ral.rewards.signs import SIGN, folded, with_signs

_NO_BLANKS = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_BETWEEN_DIGITS = re.compile(rf"(?<=\d)[^\w\s{SIGN}]+(?=\d)")
_FULLWIDTH = {0xFF01 + n: chr(0x21 + n) for n in range(94)}  # letters, digits and marks of two columns
_ONE_WAY = _FULLWIDTH | dict(zip(map(ord, "‐‑‒–—―−‘’‚“”„"), "-" * 7 + "'" * 3 + '"' * 3, strict=True))
"""One way of writing letters and digits, dashes and quotes."""
_PARTING = re.compile(r"[:;,.!|•]+(?=\s|$)|(?<!\S)[-|•]+(?=\s)")
_WORD = re.compile(rf"[{_NO_BLANKS}]|[^\s{_NO_BLANKS}]+")  # scripts that set no blanks between words: a character each


def word_error_rate(gold: str, answer: str) -> float:
    """Return the word error rate of `answer` against `gold`: edits of words / words of gold; may exceed 1.

    Video-R1 (arXiv 2503.21776), section 3.1; edits: Levenshtein, 1966. Words are compared as written. Against an empty
    gold text it is the number of words in the answer.
    """
    return float(_jiwer().wer(" ".join(gold.split()), " ".join(answer.split())))


def rouge(gold: str, answer: str, *, published: bool = False) -> float:
    """Return the mean of the F-measures of ROUGE-1, ROUGE-2 and ROUGE-L with stemming, in [0, 1].

    Lin, "ROUGE: a package for automatic evaluation of summaries", 2004; the mean is Video-R1's (arXiv 2503.21776),
    section 3.1. Words are those of `words`; with published=True rouge-score's own, of a-z and 0-9 alone.
    """
    scores = _scorer(published).score(gold, answer)
    return float(sum(score.fmeasure for score in scores.values()) / len(scores))


def one_line(text: str) -> str:
    """Return the form in which OCR answers are compared: one case and width, single blanks, plain dashes and quotes.

    Characters are composed (NFC).
    """
    return " ".join(unicodedata.normalize("NFC", text.translate(_ONE_WAY)).casefold().split())


def words_alone(text: str) -> str:
    """Return a text on one line without the colons, commas, full stops and dashes that part its words."""
    return " ".join(_PARTING.sub(" ", one_line(text)).split())


def same_text(one: str, other: str) -> bool:
    """Tell whether two texts are equal but for case, width, accents of Latin letters, white space and punctuation.

    Hyphens and apostrophes may be left out or be blanks ("ice-cream", "ice cream", "icecream"); symbols that carry
    meaning count (`signs.with_signs`). A text of nothing but punctuation equals itself alone.
    """
    first, second = words(one), words(other)
    if not first or not second:
        return folded(one) == folded(other)
    return first == second or _bare(one) == _bare(other)


def words(text: str) -> list[str]:
    """Return the words of letters, digits and the symbols that carry meaning, of any script, in one case and width.

    Accents of Latin letters do not count.
    """
    return _WORD.findall("".join(c if _counts(c) else " " for c in with_signs(folded(text))))


def _bare(text: str) -> str:
    """Return a text's letters, digits and signs, in words that no hyphen and no apostrophe parts."""
    text = _BETWEEN_DIGITS.sub(" ", with_signs(folded(text)))
    return " ".join("".join(c for c in text if c == " " or _counts(c)).split())


def _counts(character: str) -> bool:
    """Tell whether a character is a letter, a mark on one, a digit, or a sign."""
    return unicodedata.category(character)[0] in "LMN" or unicodedata.category(character) == "Co"


@cache
def _jiwer() -> Any:
    import jiwer

    return jiwer


@cache
def _scorer(published: bool) -> Any:
    """Return a ROUGE scorer, kept: building its stemmer for every response would cost more than the scoring."""
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    plain = DefaultTokenizer(use_stemmer=True)

    class Words:
        """rouge-score's stemming, of ASCII words, behind `words`."""

        def tokenize(self, text: str) -> list[str]:
            """Return the words of a text."""
            return [
                stem
                for word in words(text)
                for stem in (plain.tokenize(word) if word.isalnum() and word.isascii() else [word])
            ]

    return RougeScorer(["rouge1", "rouge2", "rougeL"], tokenizer=plain if published else Words())
