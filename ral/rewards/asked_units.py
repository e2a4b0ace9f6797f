"""The unit that a question asks for: in "How far is it, in meters?" the answer "250 cm" is 2.5."""

from __future__ import annotations

import re
from dataclasses import replace

from ral.rewards.numbers import Number
from ral.rewards.shares import SHARE
from ral.rewards.units import CLOCK, TIME_OF_DAY, Unit, convert, find_unit

_IN_UNIT = re.compile(
    r"\b[Ii]n (?:the unit of )?(?P<unit>feet|[a-z]{2,}s|[cmk]?m|[mk]?g|ml|L|ft)(?=[\s?.,;:)]|$)"
    r"(?P<more> (?:of|and|or|per)\b| ?/)?"
)
_COUNTED_UNIT = re.compile(
    r"\b(?:(?:what|which) (?:exact )?(?P<one>second|minute)\b"
    r"|how many (?P<several>seconds|minutes|hours|meters|metres|centimeters|centimetres|kilometers|kilometres"
    r"|feet|inches|miles|kilograms|grams|liters|litres)\b)(?! (?:of|and|or|per)\b| ?/)",
    re.IGNORECASE,
)


def in_asked_unit(number: Number, question: str) -> Number | None:
    """Return `number` in the unit that `question` asks for; None where it is in one of another kind.

    Unchanged where it has no unit, this one, a share or a time of day ("5 m" may be minutes), and where the question
    asks for none.
    """
    unit = asked_unit(question)
    if number.unit is None or unit is None or number.unit == unit:
        return number
    one, zero = (convert(value, number.unit, unit) for value in (number.value + number.step, number.value))
    if one is None or zero is None:
        minutes = unit == find_unit("minutes") and number.unit == find_unit("m")
        return number if minutes or number.unit.dimension in (CLOCK, TIME_OF_DAY, SHARE) else None
    return replace(number, value=zero, unit=unit, step=abs(one - zero), also=None)


def asked_unit(question: str) -> Unit | None:
    """Return the unit that a question asks for: "in meters", "how many meters", "at what second"; None where it asks
    for none, or several.
    """
    named = [(find_unit(found["unit"]), found["more"]) for found in _IN_UNIT.finditer(question)]
    named += [(find_unit(found["one"] or found["several"]), None) for found in _COUNTED_UNIT.finditer(question)]
    units = {unit for unit, _ in named if unit}
    return units.pop() if len(units) == 1 and not any(more for _, more in named) else None
