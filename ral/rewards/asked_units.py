"""The unit that a question asks for: in "How far is it, in meters?" the answer "250 cm" is 2.5."""

from __future__ import annotations

import re
from dataclasses import replace

from ral.rewards.numbers import Number
from ral.rewards.units import Unit, convert, find_unit

_IN_UNIT = re.compile(
    r"\b[Ii]n (?:the unit of )?(?P<unit>feet|[a-z]{2,}s|[cmk]?m|[mk]?g|ml|L|ft)(?=[\s?.,;:)]|$)"
    r"(?P<more> (?:of|and|or)\b)?"
)


def in_asked_unit(number: Number, question: str) -> Number:
    """Return `number` in the unit that `question` asks for; unchanged where it has no unit, this one, or one of another
    kind, or the question asks for none.
    """
    unit = asked_unit(question)
    if number.unit is None or unit is None or number.unit == unit:
        return number
    one, zero = (convert(value, number.unit, unit) for value in (number.value + number.step, number.value))
    if one is None or zero is None:
        return number
    return replace(number, value=zero, unit=unit, step=abs(one - zero), also=None)


def asked_unit(question: str) -> Unit | None:
    """Return the unit that a question names behind "in", as in "in meters"; None where it names none or several."""
    named = [(find_unit(found["unit"]), found["more"]) for found in _IN_UNIT.finditer(question)]
    units = {unit for unit, _ in named if unit}
    return units.pop() if len(units) == 1 and not any(more for _, more in named) else None
