"""Units of measure that a numerical answer may carry, and how they convert into each other.

A unit is (dimension, size in the dimension's base unit). Two answers with known units are compared after conversion;
a unit that is not listed here ("apples") is passed over, so that only the number counts.
"""

from __future__ import annotations

import functools
import itertools
import re
from fractions import Fraction

Unit = tuple[str, Fraction]

# dimension -> {size in the base unit: names in lower case}
_NAMES: dict[str, dict[str, str]] = {
    "length": {
        "0.000001": "um μm micrometer micrometers micrometre micrometres",
        "0.001": "mm millimeter millimeters millimetre millimetres",
        "0.01": "cm centimeter centimeters centimetre centimetres",
        "1": "m meter meters metre metres",
        "1000": "km kilometer kilometers kilometre kilometres",
        "0.0254": "in inch inches",
        "0.3048": "ft foot feet",
        "0.9144": "yd yard yards",
        "1609.344": "mi mile miles",
    },
    "area": {"0.000001": "mm^2", "0.0001": "cm^2", "1": "m^2", "1000000": "km^2"},
    "volume": {
        "0.000001": "ml milliliter milliliters millilitre millilitres cm^3",
        "0.001": "l liter liters litre litres dm^3",
        "1": "m^3",
    },
    "mass": {
        "0.001": "mg milligram milligrams",
        "1": "g gram grams",
        "1000": "kg kilogram kilograms",
        "1000000": "t ton tons tonne tonnes",
    },
    "time": {
        "0.001": "ms millisecond milliseconds",
        "1": "s sec secs second seconds",
        "60": "min mins minute minutes",
        "3600": "h hr hrs hour hours",
        "86400": "day days",
    },
    "speed": {"1": "m/s", "5/18": "km/h kph", "0.44704": "mph"},
    "celsius": {"1": "°c °celsius"},
    "fahrenheit": {"1": "°f °fahrenheit"},
}

UNITS: dict[str, Unit] = {
    name: (dimension, Fraction(size))
    for dimension, sizes in _NAMES.items()
    for size, names in sizes.items()
    for name in names.split()
}

_SQUARED = re.compile(r"^(?:square|sq\.?)\s+(\w+?)$|^(mm|cm|m|km)2$")
_CUBED = re.compile(r"^(?:cubic)\s+(\w+?)$|^(mm|cm|dm|m)3$")


_DURATION = re.compile(r"(?:\d+\s*[a-z]+[\s,.]*(?:and\s+)?){2,4}")
_CLOCK = re.compile(r"(\d{1,4}):([0-5]\d)(?::([0-5]\d))?")


def read_duration(text: str) -> tuple[int, Unit | None] | None:
    """(value, unit) of "2 h 30 min" or "3:45" as one number of the smallest unit written; None for any other form.

    A clock does not say its unit: "3:45" is 225, so "3 min 45 s", "3 h 45 min" and 225 alone all are the same.
    """
    text = text.strip(" .").lower()
    if clock := _CLOCK.fullmatch(text):
        return functools.reduce(lambda value, part: 60 * value + int(part), filter(None, clock.groups()), 0), None
    if not _DURATION.fullmatch(text):
        return None
    pairs = re.findall(r"(\d+)\s*([a-z]+)", text)
    units = [UNITS.get("min" if name == "m" else name, ("", Fraction(0))) for _, name in pairs]
    sizes = [size for dimension, size in units if dimension == "time"]
    if len(sizes) < len(pairs) or any(a <= b for a, b in itertools.pairwise(sizes)):
        return None
    return int(sum(int(n) * size for (n, _), size in zip(pairs, sizes, strict=True)) / sizes[-1]), units[-1]


def find_unit(text: str) -> Unit | None:
    """The unit that `text`, all that follows a number, names; None where it is none of the listed ones."""
    name = text.strip(" .,;:!()").lower().replace("degrees ", "°")
    name = re.sub(r"(?<=°)\s+|\s+(?=\^)", "", name)
    for pattern, power in ((_SQUARED, 2), (_CUBED, 3)):
        if match := pattern.match(name):
            side = UNITS.get(match.group(1) or match.group(2))
            if side is not None and side[0] == "length":
                return {2: "area", 3: "volume"}[power], side[1] ** power
    return UNITS.get(name)
