"""Shares of a whole that a number may carry as its unit: percent, per mille, basis points, parts per million."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from ral.rewards.units import Unit

SHARE = "share"  # the dimension: no other unit converts into it
PERCENT = Unit(SHARE, Fraction(1, 100))


class Share(NamedTuple):
    """Share of a whole as a unit. A number of this share, times `factor`, is the number of `unit`: 5‰ are 0.5%."""

    factor: Fraction
    unit: Unit


_PERCENT_NAMES = r"%|٪|(?:percent|per cent|pct|percentage|pp|prozent|por ciento|процент\w*)\b|p\.p\.|パーセント|퍼센트"
_SHARES = (
    (r"(?:‰|(?:permille|per mille)\b)", Share(Fraction(1, 10), PERCENT)),
    (rf"(?:{_PERCENT_NAMES})", Share(Fraction(1), PERCENT)),
    (r"(?:basis points?|bps)\b", Share(Fraction(1), Unit(SHARE, Fraction(1, 10**4)))),
    (r"(?:ppm|parts? per million)\b", Share(Fraction(1), Unit(SHARE, Fraction(1, 10**6)))),
    (r"(?:ppb|parts? per billion)\b", Share(Fraction(1), Unit(SHARE, Fraction(1, 10**9)))),
)
_PATTERNS = tuple((re.compile(rf"\s*{pattern}", re.IGNORECASE), share) for pattern, share in _SHARES)


def find_share(text: str) -> Share | None:
    """Return the share that `text`, all that follows a number, begins with; None where it begins with none."""
    return next((share for pattern, share in _PATTERNS if pattern.match(text)), None)
