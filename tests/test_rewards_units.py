"""Shares against units, rounded conversions, clocks against other kinds: gold ⇐ answer, judged by hand before."""

from __future__ import annotations

from fractions import Fraction

import pytest

from ral.rewards.accuracy import accuracy
from ral.rewards.digits import last_place
from ral.types import Example

SAME = r"""
25% ⇐ 25 ⏐ 25% ⇐ 0.25 ⏐ 25 ⇐ 25% ⏐ 0.25 ⇐ 25% ⏐ 25% ⇐ 25 percentage points ⏐ 25% ⇐ 25 pp ⏐ 25% ⇐ 25% of the people
25% ⇐ twenty-five percent ⏐ 25% ⇐ 百分之二十五 ⏐ 25% ⇐ 25 Prozent ⏐ 25% ⇐ $25$ ⏐ 25% ⇐ $25\%$ ⏐ 25% ⇐ 1/4 ⏐ 25% ⇐ 250‰
0.25% ⇐ 25 basis points ⏐ 25 bps ⇐ 0.25% ⏐ 25 basis points ⇐ 25 ⏐ 25 ⇐ 25 bps ⏐ 5‰ ⇐ 0.005 ⏐ 0.0025 ⇐ 25 bps
400 ppm ⇐ 0.04% ⏐ 328 ft ⇐ 100 m ⏐ 125 lb ⇐ 56.7 kg
60 km/h ⇐ 16.67 m/s ⏐ 60 km/h ⇐ 16.7 m/s ⏐ 60 km/h ⇐ 50/3 m/s ⏐ 60 km/h ⇐ 37.28 mph ⏐ 10 m ⇐ 32.81 ft
10 m ⇐ 32,81 ft ⏐ 10 m ⇐ 32.8 ft ⏐ 5 kg ⇐ 11.0231 lb ⏐ 5 kg ⇐ 11.0 lb ⏐ 1 mile ⇐ 1609 m ⏐ 100 °F ⇐ 37.8 °C
0 °F ⇐ -17.8 °C ⏐ 100 min ⇐ 1.67 h ⏐ 180° ⇐ 3.14 rad ⏐ 25 m^2 ⇐ 269 sq ft ⏐ 1000 km ⇐ 6.21e2 mi ⏐ 16.67 m/s ⇐ 60 km/h
1/3 ⇐ 0.33 ⏐ 0.33 ⇐ 1/3 ⏐ 0.67 ⇐ 2/3 ⏐ 25° ⇐ 25 °C ⏐ 25 °C ⇐ 25 degrees ⏐ 3:45 ⇐ 225 s ⏐ 225 min ⇐ 3:45 ⏐ 225 ⇐ 3:45
"""
OTHER = r"""
25% ⇐ 25 kg ⏐ 25% ⇐ 25 m ⏐ 25% ⇐ $25 ⏐ 25% ⇐ 25 °C ⏐ 25% ⇐ 25° ⏐ 25% ⇐ 25 € ⏐ 25% ⇐ 0.25 kg ⏐ 25 kg ⇐ 25% ⏐ 25 m ⇐ 25%
$25 ⇐ 25% ⏐ 25 °C ⇐ 25 percent ⏐ 25 kg ⇐ 百分之二十五 ⏐ 25 kg ⇐ twenty-five percent ⏐ 25% ⇐ twenty-five kg
25% ⇐ 二十五公斤 ⏐ 25 kg ⇐ 250‰ ⏐ 25 kg ⇐ 25 bps ⏐ 25% ⇐ 25 bps ⏐ 25 ppm ⇐ 25% ⏐ 25 kg ⇐ 25 pp ⏐ 25% ⇐ 1:4
5‰ ⇐ 5 ⏐ 80% ⇐ 1:20 ⏐ 225 kg ⇐ 3:45 ⏐ 3:45 ⇐ 225% ⏐ 3:45 ⇐ $225
60 km/h ⇐ 16.2 m/s ⏐ 60 km/h ⇐ 17 m/s ⏐ 60 km/h ⇐ 16.6 m/s ⏐ 60 km/h ⇐ 16.66 m/s ⏐ 60 km/h ⇐ 16.70 m/s
10 m ⇐ 33 ft ⏐ 10 m ⇐ 32.9 ft ⏐ 10 m ⇐ 32.80 ft ⏐ 5 kg ⇐ 11.1 lb ⏐ 5 kg ⇐ 11 lb ⏐ 1 mile ⇐ 1610 m ⏐ 100 °F ⇐ 38 °C
1004 g ⇐ 1.00 kg ⏐ 100 cm ⇐ 1.004 m ⏐ 1000 ⇐ 1001 ⏐ 300 °C ⇐ 573.4 K ⏐ 60 km/h ⇐ 0.02 km/s ⏐ 60 km/h ⇐ 16.67 kg
125 lb ⇐ 56.5 kg ⏐ 0.3 ⇐ 1/3 ⏐ 0.33 ⇐ 0.34 ⏐ 25 rad ⇐ 25 °C ⏐ 25° ⇐ 25 K
"""


def pairs(table: str) -> list[tuple[str, str]]:
    rows = [row.split("⇐") for line in table.strip().splitlines() for row in line.split("⏐")]
    return [(gold.strip(), answer.strip()) for gold, answer in rows]


def score(gold: str, answer: str) -> float:
    return accuracy(Example("1", "?", gold, "numerical", source="t.json entry 1"), f"<answer>{answer}</answer>")


@pytest.mark.parametrize(("gold", "answer"), pairs(SAME))
def test_the_same_quantity(gold: str, answer: str) -> None:
    assert score(gold, answer) == 1.0


@pytest.mark.parametrize(("gold", "answer"), pairs(OTHER))
def test_another_quantity(gold: str, answer: str) -> None:
    assert score(gold, answer) == 0.0


@pytest.mark.parametrize(
    ("digits", "step"), [("16.67", "1/100"), ("16,70", "1/100"), ("1,600", "1"), ("1.600,5", "1/10"), ("1.2.3", "0")]
)
def test_last_place(digits: str, step: str) -> None:
    assert last_place(digits) == Fraction(step)
