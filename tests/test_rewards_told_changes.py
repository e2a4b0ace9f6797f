"""Changes by direction and size, points by coordinates, sizes of landmarks, lists of letters: judged by hand first."""

from __future__ import annotations

import pytest

from ral.errors import UserError
from ral.evaluation.benchmarks.choice import letter
from ral.options import first_of_several
from ral.rewards.accuracy import accuracy, check_gold
from ral.rewards.points import as_point
from ral.rewards.told_changes import change_of
from ral.types import Example

PERCENT = (
    "A. Decrease by 5%",
    "B. Increase by 5%",
    "C. Decrease by 15%",
    "D. Increase by 5 percentage points",
    "E. 5%",
)
MASS = ("A. an increase of 3 kg", "B. a loss of 3 kg", "C. an increase of 3 g", "D. 3 kg", "E. 3 more apples")
POINTS = ("A. (3, 4)", "B. (4, 3)", "C. (-3, 4)", "D. (3, 4, 5)")


def score(gold: str, answer: str, kind: str, options: tuple[str, ...] = (), question: str = "What is it?") -> float:
    return accuracy(Example("1", question, gold, kind, options=options), f"<answer>{answer}</answer>")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "gold", "answers"),
    [
        (PERCENT, "A", "a 5% decrease|down 5%|It decreased by five percent|Sales fell 5%|a drop of 5 percent|5% lower"),
        (PERCENT, "A", "by 5% less|a decrease of 5%|the price has declined by 5 %."),
        (PERCENT, "B", "a 5% increase|up 5%|It rose by five percent|The price has grown by 5%|5% more"),
        (PERCENT, "C", "fell fifteen percent|a 15% drop"),
        (PERCENT, "D", "rose by 5 percentage points|an increase of five percentage points"),
        (MASS, "A", "increased by 3 kg|3 kg more|gained 3 kg|up 3 kg|rose by three kilograms|a 3,000 g increase"),
        (MASS, "A", "gained 3 kg in March|It increased by 3 kg, as the chart shows"),
        (MASS, "B", "lost 3 kg|down by 3 kg|a 3 kg decrease|It dropped three kilograms"),
        (MASS, "D", "3 kg"),
        (("A. an increase of 3 apples", "B. a loss of 3 apples"), "A", "3 more|increased by 3|3 apples more"),
    ],
)  # fmt: skip
def test_a_change_names_the_option_of_its_direction_and_size(options: tuple[str, ...], gold: str, answers: str) -> None:
    for answer in answers.split("|"):
        for other in "ABCDE"[: len(options)]:
            assert score(other, answer, "multiple choice", options) == (other == gold), (answer, other)


@pytest.mark.parametrize(
    ("options", "answers"),
    [
        (PERCENT[:4], "a 6% decrease|not a 5% decrease|decreased to 5%|down from 5%|a 5% decrease, then a 5% increase"),
        (PERCENT[:4], "decreased by at least 5%|It never fell 5%|might fall by 5%|If sales fell 5%|no decrease by 5%"),
        (MASS, "lost 3 g|gained 3 pounds|increased by 3|gained 3 or 4 kg|increased to 3 kg, from 2 kg|lost 3 apples"),
        (PERCENT[:4], "It might be a 5% decrease|perhaps a 5% drop|may decrease by 5%|nearly a 5% decrease"),
        (("A. an increase of 3 apples", "B. a decrease of 3 apples"), "increased by 3 pears|lost 3 pears|lost 4"),
        (("A. a loss of 3 kg", "B. a loss of 5 kg"), "gained 3 kg|an increase of 5 kg|It rose by 3 kg this year"),
        (("A. down 5%", "B. a 5% drop"), "decreased by 5%"),
    ],
)  # fmt: skip
def test_another_change_a_doubt_and_a_denial_name_none(options: tuple[str, ...], answers: str) -> None:
    for answer in answers.split("|"):
        for other in "ABCDE"[: len(options)]:
            assert score(other, answer, "multiple choice", options) == 0.0, (answer, other)


def test_in_free_form_and_numbers_a_change_has_a_direction() -> None:
    for answer in ("a 5% decrease", "Decreased by 5%", "down five percent", "It fell by 5 %."):
        assert score("Decrease by 5%", answer, "free-form") == 1.0, answer
        assert score("Decrease by 5%", answer, "numerical") == 1.0, answer
        assert score("-5%", answer, "numerical", question="By what percentage did sales change?") == 1.0, answer
    for answer in (
        "a 5% increase",
        "up five percent",
        "not a 5% decrease",
        "decreased to 5%",
        "decreased by six percent",
    ):
        assert score("Decrease by 5%", answer, "free-form") < 1.0, answer
        assert score("Decrease by 5%", answer, "numerical") == 0.0, answer
        assert score("-5%", answer, "numerical", question="By what percentage did sales change?") == 0.0, answer
    assert score("Decrease by 5%", "5%", "numerical") == 1.0  # its size alone


def test_what_is_no_change_from_end_to_end() -> None:
    for text in (
        "increase the price",
        "fell",
        "5%",
        "a lot more",
        "The drop rose 5%",
        "reduced by half",
        "",
        "up " * 99,
    ):
        assert change_of(text) is None, text


@pytest.mark.parametrize(
    "answer",
    ["x = 3, y = 4", "x=3,y=4", "y = 4, x = 3", "x = 3 and y = 4", "x is 3 and y is 4.", "$x = 3$, $y = 4$", "x=3\ny=4",
     r"x=3,\;y=4"],
)  # fmt: skip
def test_coordinates_are_a_point(answer: str) -> None:
    assert score("(3, 4)", answer, "free-form") == 1.0 == score(answer, "(3,4)", "free-form")
    for other in "ABCD":
        assert score(other, answer, "multiple choice", POINTS) == (other == "A")


@pytest.mark.parametrize(
    "answer",
    ["x = 4, y = 3", "x = 3, y = -4", "x = 3", "x = 3, x = 4", "x = 3, y = 4, z = 6", "x = 3, y ≠ 4", "x < 3, y = 4",
     "a = 3, b = 4", "x = 3, y = 4 or 5", "x = 3, z = 4", "not x = 3, y = 4", "x = 3 or y = 4", "x = 34"],
)  # fmt: skip
def test_other_coordinates_are_another_point(answer: str) -> None:
    assert score("(3, 4)", answer, "free-form") < 1.0
    assert score("A", answer, "multiple choice", POINTS) == 0.0


def test_a_point_has_x_and_y_and_perhaps_z() -> None:
    assert as_point("z = 5, x = 3, y = 4") == "(3, 4, 5)" and as_point("x = −3; y = 1/2") == "(-3, 1/2)"
    for text in (
        "x = 3, y = 4, w = 5",
        "x = 3, y = 4, y = 5",
        "y = 4, z = 5",
        "(3, 4)",
        "x = 3, y = 4" + " " * 999 + ".",
    ):
        assert as_point(text) is None, text
    assert score("[3, 4]", "x = 3, y = 4", "free-form") < 1.0


FAR = "How far is the chair from the table?"


@pytest.mark.parametrize(
    "answer",
    [
        "2.5 m from the table, which is 1 m wide",
        "It is 2.5 m away from the table that is 1 m wide.",
        "2.5 m from the table (1 m wide)",
        "2.5 m behind the 1 m wide table",
        "2.5 meters from the old table, which measures 80 cm across",
    ],
)
def test_the_size_of_a_landmark_is_not_the_distance(answer: str) -> None:
    for kind in ("numerical", "regression"):
        assert score("2.5 m", answer, kind, question=FAR) == 1.0
        assert score("1 m", answer, kind, question=FAR) < 0.5
        assert score("2.5 m", answer, kind, question="How wide is the table?") == 0.0 or "across" in answer


@pytest.mark.parametrize(
    "answer",
    [
        "1 m from the table, which is 2.5 m wide",
        "2.5 m, which is 1 m more",
        "2.5 m or 1 m from the table, which is 1 m wide",
        "2.5 m from the table, which is 1 m from the wall",
        "2.5 m from the table, which is not 1 m wide but 2 m wide",
        "not 2.5 m from the table, which is 1 m wide",
        "2.5 m wide, which is 1 m long",
        "2 m and 0.5 m from the table, which is 1 m wide",
    ],
)
def test_other_second_numbers_still_leave_none(answer: str) -> None:
    assert score("2.5 m", answer, "numerical", question=FAR) == 0.0


LISTS = (
    *("A. red; C. green", "A. red\nC. green", "(A) red, (C) green", "A: red and C: green", "A. red or C. green"),
    *("(A) the red one (C) the green one", "a) red, c) green", "**A.** red; **C.** green", "[A] red [C] green"),
    *("A、红色；C、绿色", "A. 3; B. 4", r"\boxed{A. red}, \boxed{C. green}", "A. red, option C. green"),
    "A. red / C. green",
)  # fmt: skip
SINGLE = (
    *("A. red", "A. red, not C. green", "A. Vitamin C. deficiency", "A. The cat; it is B. subtilis"),
    *("A. 5 m/s. The car", "A. red (not C)", "B. blue, C. is wrong"),
    *("D. Both A. and B. are right", "(D) Both (A) and (B)", "(D) Neither (A) nor (B)", "(B) from (A) to (C)"),
    *("A. Washington, D. C.", "(A) red (A) red", "(A) the line between (B) and (C)"),
)  # fmt: skip


@pytest.mark.parametrize("text", LISTS)
def test_a_list_of_letters_with_their_words_is_no_gold_answer_and_chooses_none(text: str) -> None:
    assert first_of_several(text, {}) == "A"
    with pytest.raises(UserError, match="is none of the options but several; write the one right letter"):
        check_gold(Example("1", "?", text, "multiple choice"))
    assert score("A", text, "multiple choice") == 0.0 and letter(text, ()) == ""


@pytest.mark.parametrize("text", SINGLE)
def test_one_letter_whose_words_name_others_is_one(text: str) -> None:
    assert first_of_several(text, {}) is None


def test_an_options_own_words_make_no_list_and_letters_of_no_option_count_not() -> None:
    texts = {"A": "S. aureus, and E. coli", "E": "none"}
    assert first_of_several("A. S. aureus, and E. coli", {}) == first_of_several(
        "A. S. aureus, and E. coli", {"A": "", "E": ""}
    )
    assert first_of_several("A. S. aureus, and E. coli", texts) is None
    assert first_of_several("A. red; X. green", {"A": "red", "B": "blue"}) is None
    options = ("A. the red one", "B. blue", "C. the green one")
    for gold in "AC":
        assert score(gold, "(A) the red one (C) the green one", "multiple choice", options) == 0.0
    assert letter("(A) the reddish one (C) the greenish one", options) == ""
