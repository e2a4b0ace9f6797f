"""Which option of a multiple-choice question an answer names."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

LONGEST_PREAMBLE = 60  # characters of "The correct answer is ..." looked at

_OPTION = re.compile(r"\s*[(\[]?\s*([A-Za-z])\s*(?:[)\]][.:]?|[.:)、])\s*(.*)", re.DOTALL)
_BARE = re.compile(r"[(\[]?\s*([A-Za-z])\s*[)\]]?[.:)、。,]?")
_LOOSE = re.compile(r"[(\[]?([A-Za-z])[)\]]?(?: ?[-–—] | ?[,。] ?)(.+)")
_PREAMBLE = re.compile(
    r"(?:so\s+|therefore,?\s+)?(?:the\s+)?(?:(?:correct|right|best|final)\s+)?(?:answer|option|choice)"
    r"(?:\s+is)?\s*:?\s*(?:option\s+)?",
    re.IGNORECASE,
)
_CLAIM = re.compile(r"(?:it is|it's|it’s|我?选择?|(?:正确)?答案[是为:]*) ?(?:option )?", re.IGNORECASE)
_REST_OF_CLAIM = re.compile(
    r"(?: is (?:correct|right|the (?:(?:correct|right|best) )?(?:answer|option|choice))|是(?:正确|对)的)?"
    r"(?:,? (?:because|since) .*)?[.!。]?$",
    re.IGNORECASE,
)
_HTML = re.compile(r"</?(?:b|i|u|em|strong|code|span|p|br) ?/?>", re.IGNORECASE)
_DRESS = re.compile(r"\\(?:boxed|text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}")


def chosen_letter(answer: str, options: Sequence[str]) -> str | None:
    """The capital letter of the option that `answer` names; None where it names none, or more than one.

    Read in this order: a letter alone ("B", "b.", "(B)", "**B**", "Answer: B"); the text of an option, or letter and
    text, word for word ("blue", "B blue", "B - blue"); a letter with a mark and any text ("B. it is blue"), unless that
    text is word for word another option or lists more letters ("B. C. D."). Then the same without what claims it:
    "It is B", "B is correct", "B because ...". Case, width and white space do not count.
    """
    texts, text = split_options(tuple(options)), _undress(answer)
    claimed = _unclaimed(text)
    return _named_letter(text, answer, texts) or _named_letter(claimed, claimed, texts)


def _named_letter(text: str, answer: str, texts: dict[str, str]) -> str | None:
    """The letter that a text names; answer: the same, still dressed."""
    bare = _BARE.fullmatch(text)
    if bare and (not texts or bare.group(1).upper() in texts):
        return bare.group(1).upper()
    said = {_norm(text), _norm(answer)}
    named = [letter for letter, option in texts.items() if said & {option, _norm(f"{letter} {option}")}]
    if named:
        return named[0] if len(named) == 1 else None
    return _letter_with_text(text, texts)


def _letter_with_text(text: str, texts: dict[str, str]) -> str | None:
    """The letter of "B. some text"; None where the text contradicts the letter or hedges.

    Behind a comma or a dash it has to be that letter's own text: "A, B" and "a - b" are something else.
    """
    match = _OPTION.match(text)
    if match is None:
        match = _LOOSE.fullmatch(" ".join(text.split()))
        letter, rest = (match[1].upper(), _norm(match[2])) if match else ("", "")
        return letter if rest and rest == texts.get(letter) and rest.upper() not in texts else None
    letter, rest = match.group(1).upper(), match.group(2)
    own = _norm(rest) == texts.get(letter)
    others = [option for name, option in texts.items() if name != letter]
    return None if not own and (_lists_letters(rest) or _norm(rest) in others) else letter


def _lists_letters(text: str) -> bool:
    """True for "C", "C. D." or "or C": more letters, and nothing else."""
    words = re.findall(r"\w+", text.casefold())
    return bool(words) and all(len(word) == 1 or word in ("or", "and") for word in words)


@lru_cache(maxsize=4096)
def split_options(options: tuple[str, ...]) -> dict[str, str]:
    """{letter: normalised text} of ("A. red", "B. blue"); options without letters get A, B, C, ... in order."""
    matches = [_OPTION.fullmatch(unicodedata.normalize("NFKC", option)) for option in options]
    found = [(m.group(1).upper(), m.group(2)) for m in matches if m is not None]
    if len(found) != len(options) or len({letter for letter, _ in found}) != len(options):
        found = list(zip(string.ascii_uppercase, options, strict=False))
    return {letter: _norm(text) for letter, text in found}


def _unclaimed(text: str) -> str:
    """A text without "It is" before and "is correct" or "because ..." behind; on one line."""
    line = " ".join(text.split())
    claim = _CLAIM.match(line)
    return _REST_OF_CLAIM.sub("", line[claim.end() :] if claim else line, count=1)


def _undress(answer: str) -> str:
    """The answer without LaTeX, HTML, Markdown, quotes and a short opening such as "The answer is"."""
    text = _DRESS.sub(r"\1", _DRESS.sub(r"\1", unicodedata.normalize("NFKC", answer)))  # twice: a box with text in it
    text = _HTML.sub(" ", text)
    text = re.sub(r"[*_`$\"“”]+", " ", text).strip()
    preamble = _PREAMBLE.match(text, 0, LONGEST_PREAMBLE)
    return text[preamble.end() :].strip() if preamble and text[preamble.end() :].strip() else text


def _norm(text: str) -> str:
    """Text as options are compared: one case, one width, single blanks, no marks at its ends or after the letter."""
    text = re.sub(r"^\s*[(\[]?([A-Za-z])[)\].:、]+\s+", r"\1 ", unicodedata.normalize("NFKC", text))
    line = " ".join(re.sub(r"[*_`$\"“”]+", " ", text).casefold().split())
    return line.strip(" .,:;!?。") or line
