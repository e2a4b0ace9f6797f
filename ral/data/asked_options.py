r"""Options that stand in the question itself: "What color?\nA. red\nB. blue", with a letter as the gold answer."""

from __future__ import annotations

import re
import string
import unicodedata
from itertools import pairwise

from ral.data.fields import Entry, shown
from ral.data.marks import MARK

_LETTER = r"([A-Ja-jＡ-Ｊａ-ｊ])"
_OPEN, _CLOSE, _POINT = r"[(\[<{（【「]", r"[)\]>}）】」]", r"[.:)\]．：、）】]"
_CIRCLED = {ord(circle): f"({letter})" for circle, letter in zip("ⒶⒷⒸⒹⒺⒻⒼⒽⒾⒿ", "ABCDEFGHIJ", strict=True)}
_CIRCLED |= {ord(circle): f"({letter})" for circle, letter in zip("ⓐⓑⓒⓓⓔⓕⓖⓗⓘⓙ", "abcdefghij", strict=True)}
_BULLET = re.compile(r"\s*(?:[-*+•·>]\s+|\\item\s*)?")
_BOLD = re.compile(r"(\*\*|__|\*|`)(.+?)\1(.*)")
_OPTION = re.compile(
    rf"\s*(?:[Oo]ption\s+|[Cc]hoice\s+)?(?:{_OPEN}\s*{_LETTER}\s*{_CLOSE}\s*{_POINT}?\s*|{_LETTER}\s?{_POINT}{{1,2}}\s*"
    rf"|{_LETTER}\s*[-–—]\s+|{_LETTER}(?:\t|\s{{2,}}))(\S.*)"
)
_LISTED = re.compile(
    rf"(?<![\w.])(?:{_OPEN}\s*{_LETTER}\s*{_CLOSE}|{_LETTER}\s?{_POINT}|{_LETTER} [-–—|] |(?<=\n){_LETTER}\s)\s*(?=\S)"
)
_NO_TEXT = re.compile(r"\W*(?:(?:and|or|vs|versus|to|than)\W*)?", re.IGNORECASE)
_NAMES = "options?|choices?|answer choices|answers?|选项|選項"
_HEADING = re.compile(rf"\s*(?:\*\*)?(?:{_NAMES})\s*[:：]?(?:\*\*)?\s*", re.IGNORECASE)
_IN_FRONT = re.compile(rf"\s*(?:\*\*)?(?:{_NAMES})\s*[:：](?:\*\*)?\s*(?=\S)", re.IGNORECASE)
_GOLD = re.compile(rf"\W*(?:[Oo]ption\s+)?[(\[（【]?{_LETTER}(?:{_POINT}(?:\s*\S.*)?)?\W*")
_NUMBERED = re.compile(r"\s*[(\[]?([1-9])[.)\]、．]\s*\S.*")
_COUNTING = re.compile(r"\bhow many\b|\bnumber of\b|\bcount\b|几|幾|多少", re.IGNORECASE)
FEWEST = 2
WRITE = '"options": ["A. red", "B. blue"], and the question without them, or "problem_type": '


def options_in_question(question: str, answer: str) -> tuple[str, tuple[str, ...]] | None:
    """Return (the question without its options, the options with letters); None where it lists none that can be used.

    Options are successive lines "A. red", "B) blue", "(c) green", "- **D.** pink", ... from A on, in letters of one
    case, at least FEWEST, blank lines aside. A heading above them, or in front of the first ("Options: A. red"), is
    removed too. None where the gold answer names none of their letters (as "B", "B. blue" or "option B" do), where
    further options stand behind them or inside one of their lines, where an image or video mark follows them, or where
    nothing of the question is left.
    """
    lines = [line for line in question.splitlines() if line.strip()]
    options = [_option(line) for line in lines]
    first = next((at for at, found in enumerate(options) if found is not None and found[0] in "Aa"), None)
    if first is None:
        return None
    letters = string.ascii_uppercase if options[first][0] == "A" else string.ascii_lowercase  # type: ignore[index]
    found: list[str] = []
    for option, letter in zip(options[first:], letters, strict=False):
        if option is None or option[0] != letter:
            break
        found.append(f"{letter.upper()}. {option[1]}")
    gold = _letter_of(answer)
    if len(found) < FEWEST or gold not in [option[0] for option in found]:
        return None
    before, after = lines[:first], lines[first + len(found) :]
    if _goes_on(found, after) or any(MARK.search(line) for line in after):
        return None
    if before and _HEADING.fullmatch(before[-1]):
        before = before[:-1]
    stem = "\n".join([*before, *after]).strip()
    return (stem, tuple(found)) if stem else None


def refuse_asked_options(entry: Entry, field: str, question: str, answer: str, kind: str) -> None:
    """Raise BadSample where the gold answer is a letter or number, and the question lists options that are not read.

    field: field of the gold answer. kind: problem type; only free-form counts. For entries without options and type
    whose question `options_in_question` refused.
    """
    if kind != "free-form":
        return
    if (letter := _letter_of(answer)) and len(lists := _listed(question)) >= FEWEST:
        problem = f"{shown(answer)} is a letter, and the question lists {', '.join(lists)} in a way that is not read"
        entry.fail(field, problem, f'{WRITE}"free-form" where {letter} is the answer in words')
    numbers = [found[1] for line in question.splitlines() if (found := _NUMBERED.fullmatch(line))]
    plain = answer.strip().strip("().[]")
    if (
        len(numbers) >= FEWEST
        and not _COUNTING.search(question)
        and plain in numbers
        and numbers == list("123456789")[: len(numbers)]
    ):
        problem = f"{shown(answer)} may be a number, or one of the lines that the question numbers"
        entry.fail(field, problem, f'{WRITE}"numerical" for a number')


def _option(line: str) -> tuple[str, str] | None:
    """Return (letter, text) of a line that is an option, whatever marks, bullet or heading stand before; else None."""
    plain = line.translate(_CIRCLED)
    plain = plain[front.end() :] if (front := _IN_FRONT.match(plain)) and "\n" not in plain else plain
    plain = plain[bullet.end() :] if (bullet := _BULLET.match(plain)) else plain
    bold = _BOLD.fullmatch(plain.strip())
    alone = "({})" if bold and len(bold[2]) == 1 else "{}"
    found = _OPTION.fullmatch(f"{alone.format(bold[2])}{bold[3]}" if bold else plain)
    if found is None:
        return None
    letter = next(filter(None, found.groups()[:-1]))
    return unicodedata.normalize("NFKC", letter), found[found.re.groups].strip()


def _letter_of(answer: str) -> str:
    """Return the capital letter that a gold answer names, as "b", "(B)", "B. blue" and "option B" do; "" for none."""
    gold = _GOLD.fullmatch(answer)
    return unicodedata.normalize("NFKC", gold[1]).upper() if gold else ""


def _listed(question: str) -> list[str]:
    """Return the letters, from A on, that a text lists with a mark and words behind each, on lines or on one.

    The first has to begin a line or stand behind a punctuation mark, or in brackets: "person A: ..." lists nothing.
    """
    text = f"\n{question.translate(_CIRCLED)}"
    for letters in (string.ascii_uppercase, string.ascii_lowercase):
        places: list[tuple[str, int, int]] = []
        for mark in _LISTED.finditer(text):
            letter = unicodedata.normalize("NFKC", next(filter(None, mark.groups())))
            bare = mark[0][0].isalnum() and re.search(r"\w\s*$", text[: mark.start()].rpartition("\n")[2]) is not None
            if letter == letters[len(places)] and (places or not bare):
                places.append((letter, mark.start(), mark.end()))
        ends = [*[after[1] for _, after in pairwise(places)], len(text)]
        texts = [text[place[2] : end] for place, end in zip(places, ends, strict=False)]
        if len(places) >= FEWEST and not any(_NO_TEXT.fullmatch(said) for said in texts):
            return [place[0].upper() for place in places]
    return []


def _goes_on(found: list[str], after: list[str]) -> bool:
    """Tell whether more options stand within the lines of those found, or in the lines behind."""
    letters = string.ascii_uppercase[1 : len(found) + 1]
    inside = re.compile(rf"[\s(\[][{letters}][.):\]]\s*\S")
    return any(inside.search(option[3:]) for option in found) or any(_option(line) for line in after)
