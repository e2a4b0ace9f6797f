"""Options by their written form, numbers that an answer explains, and texts in quotes: right ones earn 1, others 0."""

from __future__ import annotations

import pytest

from ral.rewards.accuracy import accuracy, check_gold
from ral.types import Example

KINDS = {"c": "multiple choice", "n": "numerical", "o": "OCR", "f": "free-form"}


def score(kind: str, gold: str, answer: str, options: tuple[str, ...] = ()) -> float:
    example = Example("e", "q", gold, KINDS[kind], options=options)
    return accuracy(example, f"<think>x</think><answer>{answer}</answer>")


POINTS, SPANS = ("(1,2)", "(2,3)", "(3,4)"), ("0-10", "10-20", "20-30")
PI, HALF = ("$4\\pi$", "$8\\pi$"), ("$\\frac{1}{3}$", "$\\frac{1}{2}$")
POWERS, CUBES = ("10^{-2}", "10^{-3}"), ("x^3", "x^2")
DEEDS = ("The man opens the door and leaves.", "The man opens the door, and then he sits down.")


@pytest.mark.parametrize(
    ("options", "answer", "right"),
    [
        (POINTS, "(2, 3)", True), (POINTS, "( 2 , 3 )", True), (POINTS, "(3, 2)", False), (POINTS, "(2, 3, 4)", False),
        (SPANS, "10–20", True), (SPANS, "10 to 20", True), (SPANS, "10 - 20", True), (SPANS, "10–30", False),
        (SPANS, "from 0 to 20", False), (PI, "8π", True), (PI, "$8 \\pi$", True), (PI, "4π", False), (PI, "18π", False),
        (HALF, "$\\dfrac{1}{2}$", True), (HALF, "$\\dfrac{1}{3}$", False), (HALF, "\\dfrac{2}{1}", False),
        (POWERS, "10⁻³", True), (POWERS, "10^{-3}", True), (POWERS, "10⁻²", False), (POWERS, "10³", False),
        (CUBES, "x²", True), (CUBES, "x^{2}", True), (CUBES, "x³", False), (CUBES, "2x", False),
        (DEEDS, "The man opens the door and then he sits down", True),
        (DEEDS, "The man opens the door, and leaves.", False),
        (("2000", "2001"), "The year 2001", True), (("2000", "2001"), "the year 2000", False),
        (("2000", "2001"), "2000, not 2001", False),
    ],
)  # fmt: skip
def test_options_are_found_by_their_written_form(options: tuple[str, ...], answer: str, right: bool) -> None:
    """Gold is B."""
    assert score("c", "B", answer, options) == float(right)


def test_a_form_of_several_options_is_none_of_them() -> None:
    """Whichever of them is gold."""
    options = ("x²", "x^2", "x^3")
    assert [score("c", gold, "x^{2}", options) for gold in "ABC"] == [0.0, 0.0, 0.0]
    assert [score("c", gold, "x^{3}", options) for gold in "ABC"] == [0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        ("5", "5 (3 red + 2 blue)", True), ("5", "5 (3 red and 2 blue)", True),
        ("5", "5 balls: 3 red and 2 blue", True),
        ("5", "3 red and 2 blue, so 5", True), ("5", "3 red and 2 blue, for a total of 5", True),
        ("5", "The answer is 5 because there are 3 red and 2 blue.", True),
        ("7", "4 cats and 3 dogs, so 7 animals.", True),
        ("6", "2 + 4, therefore 6", True), ("9", "9 (4 + 5 = 9)", True), ("5", "3 个红球和 2 个蓝球，所以 5", True),
        ("3", "5 (3 red + 2 blue)", False), ("2", "3 red and 2 blue, so 5", False), ("5", "5 (3 red + 1 blue)", False),
        ("5", "3 red and 2 blue", False), ("5", "5 or 6 (3 + 3)", False), ("5", "3 red and 2 blue, so not 5", False),
        ("5", "3 red and 2 blue, so 5 or 6", False), ("1", "3 - 2, so 5", False), ("5", "is it 5 (3 + 2)?", False),
        ("5", "none of the 5", False), ("5", "Not one of the 5", False), ("5", "neither of these 5", False),
        ("5", "5点半", False), ("5", "5 點 半", False), ("1990", "1990s", False), ("1990", "the 1990's", False),
        ("30", "30s", True), ("5", "one of the walls has 5", True), ("1990", "in 1990", True), ("5", "5点", True),
        ("10 Ω", "10 \\Omega", True), ("10 \\Omega", "10 ohms", True), ("10 \\Omega", "10 k\\Omega", False),
        ("10 Ω", "10 \\mathrm{V}", False),
        ("9π cm²", "9\\pi \\text{ cm}^2", True), ("9π cm²", "9π", True), ("9π cm²", "28.27 cm^2", True),
        ("9\\pi \\text{ cm}^2", "9π cm²", True), ("9\\pi \\text{ cm}^2", "9\\pi \\mathrm{cm}^{2}", True),
        ("36\\pi \\text{ cm}^3", "36π", True), ("2\\sqrt{3} \\text{ cm}^2", "2√3 cm²", True),
        ("12π", "12π square units", True), ("12π", "12π units", True), ("12π", "12\\pi \\text{ cm}^2", True),
        ("9π 平方厘米", "9π cm²", True), ("\\frac{\\pi}{4} cm^2", "π/4 cm²", True), ("2π units", "2π", True),
        ("9π cm²", "9π cm", False), ("9π cm²", "9π cm³", False), ("9π cm²", "81π² cm²", False),
        ("9π cm²", "9 cm²", False),
        ("12π", "12 square units", False), ("36\\pi \\text{ cm}^3", "36π cm²", False), ("12π", "144π²", False),
    ],
)  # fmt: skip
def test_numbers_that_are_explained_and_what_is_none(gold: str, answer: str, right: bool) -> None:
    assert score("n", gold, answer) == float(right)


@pytest.mark.parametrize(
    ("kind", "gold", "answer", "least", "most"),
    [
        ("o", "HELLO WORLD", '"HELLO WORLD"', 1, 1), ("o", "STOP", "STOP.", 1, 1), ("o", "STOP", "**STOP**", 1, 1),
        ("o", "STOP", "\\text{STOP}", 1, 1), ("o", "it's", "it’s", 1, 1), ("o", "STOP", "\\boxed{\\text{STOP}}", 1, 1),
        ("o", "出口", "「出口」", 1, 1), ("o", "“Open”", "Open", 1, 1), ("o", "St. Ives", "'St. Ives'", 1, 1),
        ("o", "HELLO WORLD", '"HELLO" WORLD', 0.5, 0.5), ("o", "STOP", "SHOP", 0, 0), ("o", "STOP", '"SHOP"', 0, 0),
        ("o", "$5.00", "5.00", 0, 0), ("o", "5.00", "$5.00", 0, 0), ("o", "No.", "No", 0, 0),
        ("o", "No", "No.", 1, 1), ("o", "an old sign.", "an old sign .", 0.6, 0.7),
        ("o", "STOP", "STOP?", 0, 0),
        ("f", "stop", "\\boxed{stop}", 1, 1), ("f", "stop", "\\text{stop}", 1, 1), ("f", "stop", "\\boxed{go}", 0, 0.1),
        ("f", "a red car", "**a red car**", 1, 1), ("f", "a red car", "\\text{a blue bus}", 0, 0.4),
    ],
)  # fmt: skip
def test_what_is_set_around_a_text_is_no_part_of_it(
    kind: str, gold: str, answer: str, least: float, most: float
) -> None:
    assert least <= score(kind, gold, answer) <= most


def test_a_gold_answer_in_ohms_is_read() -> None:
    check_gold(Example("e", "q", "10 \\Omega", "numerical"))
