"""Gold answers and options that say the same in other signs: "Blue." and Blue, 1 and 1.0, $5 and 5 USD."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

_NUMBER = re.compile(
    r"(?P<before>[$€£]?)\s*(?P<sign>-?)\s*(?P<inner>[$€£]?)\s*(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?:\s*/\s*(?P<below>[1-9]\d*))?\s*(?P<unit>[^\d]*)"
)
_UNITS = {"dollar": "$", "usd": "$", "us$": "$", "euro": "€", "eur": "€", "gbp": "£", "percent": "%", "per cent": "%"}
_ENDS = " .。,;:!…"


def alike(one: str, other: str) -> bool:
    """Tell whether two texts are equal but for case and marks at their ends, or are one number with the same unit."""
    first, second = _plain(one), _plain(other)
    return bool(first) and (first == second or (_value(first) is not None and _value(first) == _value(second)))


def same_number(one: str, other: str) -> bool:
    """Tell whether two texts are one number with the same unit: 1 and 1.0, but not 5 MB and 5 Mb, as case counts.

    False where either is a fraction: a question may ask which of 1/2 and 2/4 is reduced.
    """
    values = [_value(" ".join(unicodedata.normalize("NFKC", text).split()).rstrip(_ENDS)) for text in (one, other)]
    return values[0] is not None and values[0] == values[1] and "/" not in one + other


def _plain(text: str) -> str:
    """Return a text in one width and lower case, with single blanks and without marks at its end."""
    return " ".join(unicodedata.normalize("NFKC", text).replace("−", "-").casefold().split()).rstrip(_ENDS)


def _value(text: str) -> tuple[Fraction, str] | None:
    """Return (value, unit) of a text that is one number; None for any other text. text: from `_plain`."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    value = Fraction(found["digits"].replace(",", "")) / int(found["below"] or 1)
    unit = found["unit"].strip()
    sign = found["before"] or found["inner"]
    name = _UNITS.get(unit, _UNITS.get(unit.removesuffix("s"), unit))
    return (-value if found["sign"] else value), sign + name if name != sign else sign
