r"""Options that stand in the question itself: "What color?\nA. red\nB. blue", with a letter as the gold answer."""

from __future__ import annotations

import re
import string

from ral.data.marks import MARK

_OPTION = re.compile(r"\s*[(\[]?([A-J])[.):\]]\s*(\S.*)")
_HEADING = re.compile(r"\s*(?:options?|choices?|answer choices|选项|選項)\s*[:：]?\s*", re.IGNORECASE)
_GOLD = re.compile(r"\s*(?:[Oo]ption\s+)?[(\[]?([A-J])(?:[.):\]](?:\s*\S.*)?)?\s*")
FEWEST = 2


def options_in_question(question: str, answer: str) -> tuple[str, tuple[str, ...]] | None:
    """Return (the question without its options, the options with letters); None where it lists none that can be used.

    Options are successive lines "A. red", "B) blue", "(C) green", ... from A on, at least FEWEST, blank lines aside. A
    heading above them, such as "Options:", is removed too. None where the gold answer names none of their letters (as
    "B", "B. blue" or "option B" do), where further options stand behind them or inside one of their lines, where an
    image or video mark follows them, or where nothing of the question is left.
    """
    lines = [line for line in question.splitlines() if line.strip()]
    first = next((at for at, line in enumerate(lines) if (m := _OPTION.fullmatch(line)) and m[1] == "A"), None)
    if first is None:
        return None
    found: list[str] = []
    for line, letter in zip(lines[first:], string.ascii_uppercase, strict=False):
        option = _OPTION.fullmatch(line)
        if option is None or option[1] != letter:
            break
        found.append(f"{letter}. {option[2].strip()}")
    gold = _GOLD.fullmatch(answer)
    if len(found) < FEWEST or gold is None or gold[1] not in [option[0] for option in found]:
        return None
    before, after = lines[:first], lines[first + len(found) :]
    if _goes_on(found, after) or any(MARK.search(line) for line in after):
        return None
    if before and _HEADING.fullmatch(before[-1]):
        before = before[:-1]
    stem = "\n".join([*before, *after]).strip()
    return (stem, tuple(found)) if stem else None


def _goes_on(found: list[str], after: list[str]) -> bool:
    """Tell whether more options stand within the lines of those found, or in the lines behind."""
    letters = string.ascii_uppercase[1 : len(found) + 1]
    inside = re.compile(rf"[\s(\[][{letters}][.):\]]\s*\S")
    return any(inside.search(option[3:]) for option in found) or any(_OPTION.fullmatch(line) for line in after)
