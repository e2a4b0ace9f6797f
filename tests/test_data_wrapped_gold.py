r"""Gold answers in wrappings such as \boxed{B}: read as what they say, or a bad entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ral.data.bad import BadSample
from ral.data.fields import Entry
from ral.data.parse import parse_own
from ral.rewards.accuracy import accuracy
from ral.types import Example

LISTED = "Which color?\nA. red\nB. blue"
COT = "<SUMMARY> I look. </SUMMARY>\n\n<REASONING> It is {0}. </REASONING>\n\n<CONCLUSION> {0} </CONCLUSION>"


def read(answer: Any, question: str, **fields: Any) -> Example:
    return parse_own(Entry(Path("d"), 1, {"question": question, "answer": answer, "images": [], **fields}, Path()))


@pytest.mark.parametrize(
    "answer",
    [
        *(r"\boxed{B}", r"$\boxed{B}$", r"\boxed{\text{B}}", r"\boxed{\mathrm{(B)}}", r"\boxed{B. blue}", "**B**"),
        *(r"\text{B}", "$B$", "`B`", "**(B)**", "**B. blue**", r"\(B\)", "Answer: B", r"Answer: \boxed{B}"),
        *(r"The car is blue. Therefore, the answer is \boxed{B}.", r"It is blue. So \boxed{B}.", COT.format("B")),
        *(COT.format(r"\boxed{B}"), "The answer is **B**.", "<|begin_of_box|>B<|end_of_box|>", "#### B"),
        r"Final Answer: The final answer is $\boxed{B}$. I hope it is correct.",
    ],
)
def test_a_wrapped_letter_beside_listed_options_is_multiple_choice(answer: str) -> None:
    example = read(answer, LISTED)
    assert (example.problem_type, example.answer, len(example.options)) == ("multiple choice", "B", 2)
    assert [accuracy(example, f"<answer>{said}</answer>") for said in ("B", "blue", "A", r"\boxed{A}")] == [1, 1, 0, 0]


@pytest.mark.parametrize(
    "answer",
    [
        r"\boxed{42}",
        r"$\boxed{42}$",
        "There are 6 rows of 7:\n\\[ 6 \\times 7 = \\boxed{42}. \\]",
        "6 x 7 = 42\n#### 42",
    ],
)
def test_a_boxed_number_is_numerical(answer: str) -> None:
    example = read(answer, "How many apples?")
    assert (example.problem_type, example.answer) == ("numerical", "42")
    assert [accuracy(example, f"<answer>{said}</answer>") for said in ("42", r"\boxed{42}", "41")] == [1, 1, 0]


@pytest.mark.parametrize(
    ("answer", "kind", "gold"),
    [
        (r"So the area is $\boxed{9\pi}$.", "numerical", r"9\pi"),
        (r"\boxed{\frac{3}{4}}", "numerical", r"\frac{3}{4}"),
        (r"So $y = \boxed{x^{2} + 1}$", "free-form", "x^{2} + 1"),
        (r"\boxed{\text{isosceles}}", "free-form", r"\text{isosceles}"),
        ("The answer is: 42", "free-form", "42"),
        ("**7**", "free-form", "7"),
        (COT.format("3"), "free-form", "3"),
        (COT.format("a red car"), "free-form", "a red car"),
        ("**blue** car", "free-form", "**blue** car"),
        ("$x$ and $y$", "free-form", "$x$ and $y$"),
        ("**A** and **B**", "free-form", "**A** and **B**"),
        ("$5", "free-form", "$5"),
    ],
)
def test_other_wrapped_answers(answer: str, kind: str, gold: str) -> None:
    example = read(answer, "What is it?")
    assert (example.problem_type, example.answer) == (kind, gold)


@pytest.mark.parametrize(
    "answer",
    [r"\boxed{A} or \boxed{B}", r"First \boxed{3}, then 4 more.", r"\boxed{}", "<CONCLUSION> B", "B </CONCLUSION>"],
)
def test_what_cannot_be_read_is_a_bad_entry(answer: str) -> None:
    with pytest.raises(BadSample, match="the answer alone"):
        read(answer, LISTED)


def test_two_conclusions_that_differ_make_a_bad_entry() -> None:
    with pytest.raises(BadSample, match="the answer alone"):
        read(COT.format("A") + COT.format("B"), LISTED)


def test_a_copied_text_keeps_its_box() -> None:
    assert read(r"x = \boxed{4}", "Write the formula in LaTeX.").answer == r"x = \boxed{4}"
    assert read("**B**", "What does the sign say?", problem_type="OCR").answer == "**B**"


def test_options_of_their_own_are_read_as_before() -> None:
    assert read(r"\boxed{B}", "Which?", options=["red", "blue"]).answer == "B"
    assert read(r"$\boxed{9}$", "Which?", options=[r"$\boxed{9}$", "8"]).answer == "A"


@pytest.mark.parametrize(
    ("said", "thought"),
    [
        ("3 + 4 = 7, so \\boxed{7}.", "3 + 4 = 7, so \\boxed{7}."),
        ("3+4=7 balls.\n#### 7", "3+4=7 balls."),
        (
            "<REASONING> 3 and 4 are 7. </REASONING> <CONCLUSION> 7 </CONCLUSION>",
            "<REASONING> 3 and 4 are 7. </REASONING>",
        ),
        ("3 and 4 are 7. <answer>7</answer>", "3 and 4 are 7."),
        ("3 and 4 are 7. <answer>\\boxed{7}</answer>", "3 and 4 are 7."),
        ("<think>I count.</think> It is \\boxed{7}", "I count."),
        *((said, None) for said in ("\\boxed{7}", "The answer is \\boxed{7}.", "#### 7", "<answer>7</answer>", "7")),
        *((said, None) for said in ("<CONCLUSION> 7 </CONCLUSION>", "The final answer is: $\\boxed{7}$")),
    ],
)
def test_the_working_is_the_thought(said: str, thought: str | None) -> None:
    example = read(said, "How many?")
    assert (example.answer, example.thought) == ("7", thought)
    if said.startswith("<think>"):  # both are called reasoning, and differ
        with pytest.raises(BadSample, match="field 'thought': there is <think> in answer, too, and the two differ"):
            read(said, "How many?", thought="own")
    else:
        assert read(said, "How many?", thought="own").thought == "own"


def test_a_copied_formula_has_no_working() -> None:
    said = "a = 3 + 4 = \\boxed{7}"
    assert read(said, "How many?", problem_type="OCR").thought is None
    assert read(said, "Write the formula in LaTeX.").thought is None
