"""Free-form answers that are right or wrong as a whole: relations, measures, days; and signs of changes asked for."""

from __future__ import annotations

import pytest

from ral.rewards.accuracy import accuracy
from ral.types import Example

LINE, SUM = "x ≥ 3", "y = 2x + 1"
WORKED = "The slope is 2 and the intercept 1, so y = 2x + 1."
MOST = "Which day had the most rain?"


def score(
    gold: str, text: str, question: str = "What?", kind: str = "free-form", options: tuple[str, ...] = ()
) -> float:
    return accuracy(Example("u", question, gold, kind, options=options), f"<answer>{text}</answer>")


@pytest.mark.parametrize(
    ("gold", "texts"),
    [
        (LINE, ["x >= 3", r"x \ge 3", "3 ≤ x", "2x ≥ 6", "-x <= -3", "The number line shows x ≥ 3.", "$x\\geq 3$"]),
        ("The number line shows x ≥ 3.", [LINE, "3 <= x", "So x ≥ 3"]),
        (SUM, ["f(x) = 2x + 1", "y=1+2x", "y - 2x = 1", "2y = 4x + 2", WORKED]),
        ("f(x) = 2x + 1", [SUM, "f(x) = 1 + 2x"]),
        (WORKED, [SUM, "f(x) = 1 + 2x"]),
        ("3 > 2", ["2 < 3"]),
        ("3 kg", ["3kg", "3 kilograms", "3000 g"]),
        ("Tuesday", ["Tue.", "It was Tuesday", "on Tuesday"]),
    ],
)
def test_the_same_said_otherwise_is_right(gold: str, texts: list[str]) -> None:
    assert {text: score(gold, text) for text in texts} == dict.fromkeys(texts, 1.0)


@pytest.mark.parametrize(
    ("gold", "texts"),
    [
        (LINE, ["x > 3", "x ≤ 3", "x ≥ 4", "The number line shows x ≤ 3.", "x = 3", "3 ≥ x", "-x ≥ -3"]),
        (SUM, ["y = 2x - 1", "f(x) = 2x - 1", "y = 3x + 1", WORKED.replace("+", "-"), "y = -2x + 1", "2y = 2x + 1"]),
        ("3 > 2", ["5 > 4", "3 < 2"]),
    ],
)
def test_another_relation_is_wrong(gold: str, texts: list[str]) -> None:
    assert {text: score(gold, text) for text in texts} == dict.fromkeys(texts, 0.0)


@pytest.mark.parametrize(
    ("gold", "text"),
    [
        (LINE, "x is not shown, so it is x ≥ 3 or x ≥ 4"),
        ("x = 3.33", "x = 10/3"),  # may be rounded
        ("3 kg", "4 kg"),
        ("3 kg", "3 cm"),
        ("gained 3 kg", "3 kg"),
        ("Tuesday", "Monday, followed by Tuesday"),
    ],
)
def test_other_texts_keep_their_share_of_words(gold: str, text: str) -> None:
    assert 0 < score(gold, text, MOST) < 1


def test_the_day_that_is_named_first_of_the_most() -> None:
    said = "Tuesday (12 mm), followed by Wednesday (8 mm)"
    days = ("A. Monday", "B. Tuesday", "C. Wednesday")
    assert score("Tuesday", said, MOST) == 1.0 > score("Wednesday", said, MOST)
    assert score("Tuesday", said, "Which day had the least rain?") < 1
    assert [score(letter, said, MOST, "multiple choice", days) for letter in "ABC"] == [0.0, 1.0, 0.0]


def test_a_gain_is_no_answer_to_a_question_for_a_loss() -> None:
    asked = "How much weight did it lose?"
    texts = ("gained 3 kg", "a loss of 3 kg", "it loses 3 kg", "3 kg")
    said = {text: score("3", text, asked, "numerical") for text in texts}
    assert said == {"gained 3 kg": 0.0, "a loss of 3 kg": 1.0, "it loses 3 kg": 1.0, "3 kg": 1.0}


def test_options_are_read_in_sentences_and_as_functions() -> None:
    options = ("A. y = 2x + 1", "B. y = 2x - 1", "C. y = x + 2")
    for text in (WORKED, "f(x) = 2x + 1", "The equation is y = 1 + 2x."):
        assert [score(letter, text, "Which?", "multiple choice", options) for letter in "ABC"] == [1.0, 0.0, 0.0]
    assert not any(score(letter, f"It is not so: {SUM}, no", "Which?", "multiple choice", options) for letter in "BC")
