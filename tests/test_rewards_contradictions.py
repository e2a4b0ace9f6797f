"""An answer that names one option by its letter and another by its text, or a number outside its range, names none."""

from __future__ import annotations

import pytest

from ral.evaluation.benchmarks.choice import letter
from ral.rewards.choices import chosen_letter

TURNS = ("A. Clockwise", "B. Counterclockwise")
COLORS = ("A. red", "B. blue", "C. green")
RANGES = ("A. 1-5", "B. 6-10", "C. More than 10")
NUMBERS = ("A. 18", "B. 180", "C. 20")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        *((TURNS, text) for text in ("A. anti clockwise", "A. counter-clockwise", "(A) anticlockwise", "B. clockwise")),
        *((TURNS, text) for text in ("Answer: A. anti clockwise", "The answer is A. counterclockwise")),
        *((COLORS, text) for text in ("A. blue", "(A) blue", "A, blue", "A: it is blue", "The answer is C. red")),
        *((RANGES, text) for text in ("8 people, so 1-5", "12, so 6-10", "There are 3 dogs, so more than 10")),
        *((RANGES, text) for text in ("A. 8", "A. 8 people", "B. 12", "I count 8 people. The answer is 1-5.")),
        *((NUMBERS, text) for text in ("A. 180", "A. 7", "(B) 18")),
    ],
)
def test_two_options_are_none(options: tuple[str, ...], text: str) -> None:
    assert chosen_letter(text, options) is None
    assert letter(text, options) == ""


@pytest.mark.parametrize(
    ("options", "text", "named"),
    [
        *((TURNS, text, "B") for text in ("B. anti clockwise", "anti clockwise", "(B) counter-clockwise")),
        *((COLORS, text, "A") for text in ("A. red", "A. not blue", "A. dark blue", "A. red, not blue", "A, red")),
        *((RANGES, text, "B") for text in ("8 people, so 6-10", "B. 8 people", "I count 8. The answer is 6-10", "8")),
        *((RANGES, text, "A") for text in ("A. 3 people", "A. 1-5", "A. 1 to 5")),
        *((NUMBERS, text, "A") for text in ("A. 18", "A. 18.0")),
    ],
)
def test_one_option_stays(options: tuple[str, ...], text: str, named: str) -> None:
    assert chosen_letter(text, options) == named
    assert letter(text, options) == named
