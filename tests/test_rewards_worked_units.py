"""Worked lines with units in their steps, judged by hand before the rules ran: the last side counts, if all agree."""

from __future__ import annotations

import pytest

from ral.rewards.accuracy import accuracy
from ral.types import Example

# gold ; right answers ; wrong answers
TABLE = (
    ("35 cm^2", "A = 7 cm × 5 cm = 35 cm²|7 cm * 5 cm = 35 cm^2|Area = 7 cm × 5 cm = 35 square centimetres"
     r"|$A = 7\text{ cm} \times 5\text{ cm} = 35\text{ cm}^2$",
     "A = 7 cm × 5 cm = 36 cm²|7 cm + 5 cm = 35 cm²|A = 7 cm × 5 cm = 35 m²|A = 35 cm² = 5 cm|A = 7 cm × 5 cm"
     "|35 cm² × 2 = 70 cm²"),
    ("2.5 g/cm^3", "ρ = m/V = 50 g / 20 cm³ = 2.5 g/cm³|ρ = 50 g/20 cm³ = 2.5 g/cm³|50 g / 20 cm³ = 2.5 g/cm³",
     "ρ = m/V = 50 g / 20 cm³ = 25 g/cm³|ρ = 50 g / 20 cm³ = 2.5 kg/m³|ρ = 50 g / 40 cm³ = 2.5 g/cm³"),
    ("60 km/h", "v = 120 km / 2 h = 60 km/h|v = s/t = 180 km / 3 h = 60 km/h",
     "v = 120 km / 2 h = 70 km/h|v = 120 km / 4 h = 60 km/h"),
    ("14 m", "5 m + 9 m = 14 m|P = 2 * 4 m + 2 * 3 m = 14 m", "5 m + 8 m = 14 m|5 m + 9 m = 15 m"),
    ("600 cm", "2 × 3 m = 600 cm|600 cm", "2 × 3 m = 500 cm"),
    ("5", "2x = 10, x = 5", "2x = 10"),
)  # fmt: skip
RIGHT = [(gold, answer) for gold, right, _ in TABLE for answer in right.split("|")]
WRONG = [(gold, answer) for gold, _, wrong in TABLE for answer in wrong.split("|")]


def score(gold: str, answer: str) -> float:
    """The accuracy of one numerical answer."""
    return accuracy(Example("u", "What is it?", gold, "numerical"), f"<answer>{answer}</answer>")


@pytest.mark.parametrize(("gold", "answer"), RIGHT)
def test_the_last_side_counts(gold: str, answer: str) -> None:
    assert score(gold, answer) == 1.0


@pytest.mark.parametrize(("gold", "answer"), WRONG)
def test_sides_that_differ_state_nothing(gold: str, answer: str) -> None:
    assert score(gold, answer) == 0.0
