"""Numbers that a question itself names: the bound of "How many bars are above 50%?", the angle of "Find m∠1".

Each function returns the part of an answer that holds its own number, None where the answer repeats no such name.
"""

from __future__ import annotations

import re

_COUNTS = re.compile(r"\bhow many\b|\bnumber of\b", re.IGNORECASE)
_BOUND = re.compile(
    r"\b(?:above|below|over|under|more than|less than|fewer than|greater than|higher than|lower than|larger than"
    r"|smaller than|longer than|shorter than|at least|at most)"
    r" (?P<number>[$€£]?\d[\d,]*(?:\.\d+)? ?(?:%|percent\b)?)(?! ?(?:and|or|to)\b| ?[-–/]|[.,]?\d)",
    re.IGNORECASE,
)
_DOUBT = re.compile(
    r"\b(?:not|never|or|nor|either|neither|maybe|perhaps|possibly|probably|might|may|could|if|whether|unless"
    r"|instead|but|though|although|wrong|false|incorrect|twice|half|double)\b|n['’]t\b|[?？≠<>≤≥≈±]|!=",
    re.IGNORECASE,
)
_CASES = re.compile(r"(?P<said>[^:(]+?)\s*(?::|\()\s*(?P<cases>[^:]*?\([^()]*\d[^()]*\)[^:]*)", re.DOTALL)
_IN_BRACKETS = re.compile(r"\([^()]*\d[^()]*\)")
_ANGLE = r"(?:\bm ?)?(?:∠|\\angle(?![a-z])|\bangle\b) ?(?P<angle>\d{1,2})(?!\d|\.\d|°)"
_IS_ANGLE = re.compile(
    rf"[\s$(]*(?:so |thus |therefore |hence |the measure of )?{_ANGLE}\s*(?:=|is|measures|equals)\s*(?P<said>[^\s].*)",
    re.IGNORECASE | re.DOTALL,
)
_SO_IS = re.compile(
    r".*\b(?:so|thus|therefore|hence),?\s+\$?\s*(?P<name>[A-Za-z]{1,3})\s*=\s*(?P<said>[^=].*)", re.DOTALL
)
_ASKED = re.compile(
    r"\b(?:find|what is|calculate|determine|compute|solve for)\s+\$?\s*(?P<name>[A-Za-z]{1,3})\b(?!\s+\w)",
    re.IGNORECASE,
)


def without_bound(answer: str, question: str) -> str | None:
    """Return a count without the bound that it repeats from its question: "There are 3 bars" for "There are 3 bars
    above 50%".

    Cases behind a colon, "Canada (54%), UK (55%)", are left out as well. None where the question does not count, the
    answer does not repeat the bound once and in its words, or the cases are not as many as the count.
    """
    if not _COUNTS.search(question) or _DOUBT.search(answer):
        return None
    asked = {" ".join(found[0].lower().split()) for found in _BOUND.finditer(question)}
    said = [found for found in _BOUND.finditer(answer) if " ".join(found[0].lower().split()) in asked]
    if len(said) != 1:
        return None
    rest = answer[: said[0].start()] + answer[said[0].end() :]
    if (cases := _CASES.fullmatch(rest)) is None:
        return rest
    counts = re.findall(r"\d+", cases["said"])
    listed = len(_IN_BRACKETS.findall(cases["cases"]))
    return cases["said"] if counts == [str(listed)] else None


def of_angle(answer: str, question: str) -> str | None:
    """Return "68°" of "∠1 = 68°" where the question names angle 1, and no other one."""
    found, asked = _IS_ANGLE.fullmatch(answer), {name["angle"] for name in re.finditer(_ANGLE, question, re.I)}
    if found is None or asked != {found["angle"]} or _DOUBT.search(answer) or re.search(_ANGLE, found["said"], re.I):
        return None
    said = found["said"].strip()
    return f"x = {said.removesuffix('.').removesuffix('$')}" if "=" in said else said


def of_quantity(answer: str, question: str) -> str | None:
    """Return "AB = 2(5) + 4 = 14" of "Since 2x + 4 = 3x - 1, x = 5, so AB = 2(5) + 4 = 14." where AB is asked for."""
    found, asked = _SO_IS.fullmatch(answer), _ASKED.search(question)
    if found is None or asked is None or found["name"] != asked["name"] or _DOUBT.search(answer):
        return None
    return f"{found['name']} = {found['said']}"
