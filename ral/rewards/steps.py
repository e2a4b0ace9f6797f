r"""Equations solved step by step: "2x = 6, x = 3", "$2x=6 \implies x=3$", rows of an aligned environment.

The last step states the value; every step in front has to hold for it, so that "x = 2, x = 3" states none.
"""

from __future__ import annotations

import re
from fractions import Fraction

from ral.rewards.equations import LONGEST, SAME, evaluate, plain_sides

ROUNDED = Fraction(1, 100)  # relative: how far a step may be off for a value that is no integer, "3x = 10, x = 3.33"
ROUGHLY = Fraction(1, 20)  # relative: a step that is further off does not hold, however the value is rounded

_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{(?:align(?:ed|at)?|gather(?:ed)?|split|equation)\*?\}")
_ROW = r"\\\\(?:\[[^\]]*\])?"
_ARROW = (
    r"\\(?:Rightarrow|rightarrow|Longrightarrow|longrightarrow|implies|iff|Leftrightarrow|to|therefore|because)(?![a-z])"
    r"|[→⇒⟹⟶⇔∴]|(?:=|-)>"
)
_BETWEEN = re.compile(rf"{_ARROW}|[;\n]|,(?!\d{{3}}(?!\d))|\b(?:so|thus|hence|therefore|then|and)\b,?", re.IGNORECASE)
_ROWS = re.compile(rf"{_ROW}|{_BETWEEN.pattern}", re.IGNORECASE)
_ARROW_AHEAD = re.compile(rf"(?P<open>[\s$]*)(?:{_ARROW})\s*(?P<said>(?=[^\s$]).*)", re.DOTALL)
_EQUALS = re.compile(r"(?<![<>!:])[=≈]")
_UNKNOWN = re.compile(r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])")
_UNIT = re.compile(r"(?<=\d)\s*(?:°|[A-Za-z]{2,}(?:\^[23])?|\s[A-Za-z])$")


def last_step(text: str) -> str | None:
    r"""Return the value of the unknown in the last step of a solved equation: "3" of "2x = 6 → x = 3".

    Steps stand in rows, or between arrows, commas or "so". The last one is "x = 3" or "3" alone; the steps in front
    have that one letter and hold for that value. Of "$\Rightarrow 3$" the text without the arrow is returned. None for
    other texts.
    """
    rows = _ENVIRONMENT.sub(" ", text)
    if (arrow := _ARROW_AHEAD.fullmatch(rows)) and not _EQUALS.search(rows):
        return arrow["open"] + arrow["said"]
    steps = _steps(text)
    if not steps or (len(steps) < 2 and rows == text):
        return None
    *ahead, last = _joined(steps)
    return _stated(ahead, last)


def steps_fail(text: str) -> bool:
    """Tell whether a text states the value of one unknown, and an equation in front does not hold for it:
    "2x = 6, so x = 4". False where any side cannot be computed.
    """
    if len(text) > LONGEST or len(steps := _steps(text)) < 2 or any(len(sides) < 2 for sides in steps):
        return False
    *ahead, last = steps
    unknown = {letter for sides in steps for side in sides for letter in _UNKNOWN.findall(side)}
    value = evaluate(_UNIT.sub("", last[-1]))
    if value is None or unknown != {last[0]}:
        return False
    put = f"(({value.numerator})/({value.denominator}))"
    for sides in ahead:
        values = [evaluate(re.sub(rf"(?<![A-Za-z\\]){last[0]}(?![A-Za-z])", put, side)) for side in sides]
        known = [found for found in values if found is not None]
        if len(known) == len(values) and max(known) - min(known) > ROUGHLY * max(map(abs, known)):
            return True
    return False


def _steps(text: str) -> list[list[str]]:
    """Return the sides of each step of a text."""
    rows = _ENVIRONMENT.sub(" ", text)
    between = _ROWS if rows != text or "&" in text else _BETWEEN
    return [_sides(step) for step in between.split(rows.replace("$", " ")) if step.strip(" &.\t\n")]


def _joined(steps: list[list[str]]) -> list[list[str]]:
    """Return steps with a row that begins with its equals sign put to the row in front: "x = 7 - 4" and "= 3"."""
    joined: list[list[str]] = []
    for sides in steps:
        if joined and len(sides) > 1 and not sides[0]:
            joined[-1] = [*joined[-1], *sides[1:]]
        else:
            joined.append(sides)
    return joined


def _sides(step: str) -> list[str]:
    """Return the sides of one step, [the step] where it is no equation."""
    return [side.strip(" .") for side in _EQUALS.split(plain_sides(step.replace("&", " ")))]


def _stated(ahead: list[list[str]], last: list[str]) -> str | None:
    """Return the end of the last step, where all steps hold for it; else None."""
    equations = [*ahead, last[:-1]] if len(last) > 1 else ahead
    unknown = {letter for sides in equations for side in sides for letter in _UNKNOWN.findall(side)}
    value = evaluate(_UNIT.sub("", last[-1]))
    if len(unknown) != 1 or value is None or any(len(sides) < 2 for sides in ahead):
        return None
    (name,) = unknown
    if len(last) > 1 and last[0] != name:
        return None
    hold = all(_holds([*sides], name, value) for sides in (*ahead, [*last[:-1], name]))
    return last[-1] if hold else None


def _holds(sides: list[str], name: str, value: Fraction) -> bool:
    """Tell whether the sides of an equation are one value where the letter `name` has `value`."""
    put = f"(({value.numerator})/({value.denominator}))"
    values = [evaluate(re.sub(rf"(?<![A-Za-z\\]){name}(?![A-Za-z])", put, side)) for side in sides]
    known = [found for found in values if found is not None]
    off = SAME if value.denominator == 1 else ROUNDED
    return len(known) == len(values) and all(
        abs(found - known[0]) <= off * max(abs(found), abs(known[0])) for found in known
    )
