"""Numbers at the end of worked equations, and spans of time such as "half an hour", judged by hand."""

from __future__ import annotations

import pytest

from ral.rewards.accuracy import accuracy
from ral.types import Example

# gold ; answers that are right ; answers that are not
STEPS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "3",
        (
            r"\begin{aligned} x+2 &= 5 \\ x &= 3 \end{aligned}",
            r"$$\begin{aligned} 2x &= 6 \\ x &= \boxed{3} \end{aligned}$$",
            r"\[\begin{aligned} \frac{x}{2} &= 1.5 \\ x &= 3 \end{aligned}\]",
            r"\begin{align*} x &= 7 - 4 \\ &= 3 \end{align*}",
            r"\begin{align*} 2x &= 6 \\ \Rightarrow x &= 3 \end{align*}",
            "2x = 6, x = 3",
            "3x - 4 = 5, so 3x = 9 and x = 3.",
            "2x = 6; x = 3 cm",
            "$2x = 6$, $x = 3$",
            "2x + 4 = 10 → 2x = 6 → x = 3",
            r"$2x=6 \implies x=3$",
            r"$x+2=5 \Rightarrow x = 5-2 = 3$",
            "2x = 6 => x = 3",
            "x + 2 = 5 ⇒ 3",
            "x^2 = 9, x = 3",
            r"$\Rightarrow 3$",
            "→ 3",
        ),
        (
            "x = 2, x = 3",
            "x = 2, y = 3",
            "2x = 6, x = 4",
            "4x = 8, so x = 3",
            "4x = 8, therefore x = 3",
            "2x = 6, y = 3",
            "b = 3, 2b = 6",
            "x = 3, x = -3",
            "x^2 = 9, x = ±3",
            "2x = 6 or x = 3",
            "2x = 6, x ≠ 3",
            "2x = 6, x = 3?",
            "2x = 6, x = 3, y = 4",
            "x > 2, x = 3",
            "x + y = 5, x = 3",
            "5 → 3",
            "x = 5 → 3",
            "2 → 3 → 4",
            r"\Rightarrow 3, 4",
            r"\Rightarrow not 3",
            r"\begin{aligned} x &= 2 \\ y &= 3 \end{aligned}",
            r"\begin{align*} x &= 7 - 5 \\ &= 3 \end{align*}",
        ),
    ),
    ("6", (), ("2x = 6, x = 3", r"$2x=6 \implies x=3$")),
    ("4", (), (r"\begin{align*} x &= 7 - 4 \\ &= 3 \end{align*}", "2x = 6, x = 4")),
    ("3.33", ("3x = 10, x = 3.33", r"3x = 10 \Rightarrow x \approx 3.33"), ("3x = 11, x = 3.33",)),
)

MEASURED: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "60 minutes",
        ("an hour", "It lasts an hour.", "It takes one hour."),
        ("half an hour", "an hour or so ago", "an inch"),
    ),
    ("30 minutes", ("half an hour", "half of an hour"), ("an hour", "a half of them", "half a day")),
    ("15 min", ("a quarter of an hour",), ("three quarters of an hour", "a quarter")),
    ("1", ("an hour", "one"), ("a second hand", "a hand", "an hour hand", "a second", "a week ago")),
)

CHANGE, FALL, RISE = (
    "By what percentage did sales change?",
    "By how much did sales fall?",
    "How much did sales increase?",
)
FAR, LONG = "How far away is the chair, in meters?", "How long is the clip in seconds?"
MORE, PLACE = "How many more red balls than blue balls are there?", "In what place did the runner finish?"
# question ; gold ; answers that are right ; answers that are not
TOLD = (
    (
        CHANGE,
        "-5%",
        "It decreased by 5%.|a 5% decrease|a drop of 5%|Sales fell 5%.|5% lower|-5%|down 5%",
        "It increased by 5%.|up 5%|5%|It fell to 5%|It did not decrease by 5%|It decreased by 6%",
    ),
    (
        CHANGE,
        "5%",
        "It increased by 5%.|+5%|up 5%|5%|a 5% rise|5% higher",
        "It decreased by 5%.|Sales fell by 5%.|a drop of 5%|-5%",
    ),
    (CHANGE, "-12", "The temperature dropped by 12 degrees.|It fell by 12", "It rose by 12|12"),
    (CHANGE, "5% decrease", "It decreased by 5%.|5%", "It decreased by 6%."),
    (FALL, "5%", "It decreased by 5%.|5%|They fell by 5%", "It increased by 5%.|They rose 5%"),
    (FALL, "-5%", "They fell by 5%|-5%", "They rose 5%"),
    (RISE, "5%", "It increased by 5%.|5%", "It decreased by 5%.|They fell 5%"),
    (FAR, "2.5", "250 cm|2.5 m|2.5|2500 mm|0.0025 km", "2.5 cm|25 cm|250|2.5 km"),
    (FAR, "3", "300 cm|3", "3 feet|118 inches"),
    (LONG, "90", "1.5 minutes|90 s|90|1 min 30 s", "90 minutes|1.5"),
    ("How far is it?", "2.5", "2.5 m|2.5 cm|2.5", "250 cm"),
    ("Is it in meters or in feet?", "2.5", "2.5 cm", "250 cm"),
    ("Who is in second place?", "2", "2|2 s|2 minutes", "120 s"),
    ("How many games changed the result?", "3", "He lost 3 games|3", "He lost 4 games"),
    ("By how many points did it change?", "-3", "It fell by 3 points|-3", "It rose by 3 points"),
    ("How much is made up of red?", "5%", "5% less|5%", "-5%"),
    ("What is the rate?", "5%", "It decreased by 5%.|5%", "-5%"),
    ("What is the temperature?", "-5", "-5", "It fell by 5|5"),
    (
        MORE,
        "3",
        "3 more red balls (5 red, 2 blue)|3 more|3 more (5 - 2 = 3)",
        "3 more red balls (6 red, 2 blue)|2 more (5 red, 2 blue)|7 more (5 red, 2 blue)",
    ),
    (
        PLACE,
        "3",
        "third place|He finished third.|The runner came in third.|in third place|3rd|the third position",
        "second place|not third place|Nobody finished third.|a third|third or fourth place|one third|"
        "He finished a third",
    ),
)


def scored(gold: str, answer: str, question: str = "Find x.") -> float:
    """Return the accuracy of an answer to a numerical question."""
    return accuracy(Example("u", question, gold, "numerical"), f"<answer>{answer}</answer>")


@pytest.mark.parametrize(("gold", "right", "wrong"), STEPS + MEASURED)
def test_a_number_is_read_off_steps_and_spans_of_time(
    gold: str, right: tuple[str, ...], wrong: tuple[str, ...]
) -> None:
    assert {answer: scored(gold, answer) for answer in right} == dict.fromkeys(right, 1.0)
    assert {answer: scored(gold, answer) for answer in wrong} == dict.fromkeys(wrong, 0.0)


@pytest.mark.parametrize(("question", "gold", "right", "wrong"), TOLD)
def test_changes_differences_and_places_are_read(question: str, gold: str, right: str, wrong: str) -> None:
    for answer in right.split("|"):
        assert scored(gold, answer, question) == 1.0, answer
    for answer in wrong.split("|"):
        assert scored(gold, answer, question) == 0.0, answer
