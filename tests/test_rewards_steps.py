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


def scored(gold: str, answer: str, question: str = "Find x.") -> float:
    """Return the accuracy of an answer to a numerical question."""
    return accuracy(Example("u", question, gold, "numerical"), f"<answer>{answer}</answer>")


@pytest.mark.parametrize(("gold", "right", "wrong"), STEPS + MEASURED)
def test_a_number_is_read_off_steps_and_spans_of_time(
    gold: str, right: tuple[str, ...], wrong: tuple[str, ...]
) -> None:
    assert {answer: scored(gold, answer) for answer in right} == dict.fromkeys(right, 1.0)
    assert {answer: scored(gold, answer) for answer in wrong} == dict.fromkeys(wrong, 0.0)
