"""Judgements of a clause ("It is true that the statement is false"), judged by hand."""

from __future__ import annotations

import pytest

from ral.rewards.accuracy import accuracy
from ral.types import Example

TRUE_FALSE = ("A. True", "B. False")
YES_NO = ("A. Yes", "B. No")

# options ; letter, "-" for none ; answers
CHOICES = (
    (TRUE_FALSE, "B", "It is true that the statement is false.|It is correct that the claim is false."),
    (TRUE_FALSE, "B", "It's true that he is tall, but the statement is false.|It is not true that the car is red."),
    (TRUE_FALSE, "B", "It is false that the statement is true.|It is wrong to say that it is red.|False, it is blue"),
    (TRUE_FALSE, "B", "True or false? False.|It is untrue that the car is red"),
    (TRUE_FALSE, "A", "It is true that the car is red.|It isn't true that the claim is false.|True or false? True."),
    (TRUE_FALSE, "A", "So it is true that the car is red.|It is true that the color is red, so true."),
    (TRUE_FALSE, "A", "It is true, the car is not red.|True, no dog is visible.|The statement is not false."),
    (TRUE_FALSE, "-", "It is true that the car is not red.|It's not true that he isn't red.|True or false?"),
    (TRUE_FALSE, "-", "It is true that he is tall, but he is old|It is true that it may be red|true or false"),
    (YES_NO, "-", "It is true that there is no dog.|True, no dog is visible.|True, there's no dog"),
    (YES_NO, "A", "It is true that there is a dog|True, there is a dog|Yes, no dog is without a collar"),
    (YES_NO, "B", "It is not true that there is a dog.|No, no dog is visible|Yes or no? No."),
)  # fmt: skip

# gold ; answers that earn 1 ; answers that earn 0
TEXTS = (
    ("false", "It is true that the statement is false.|It is not true that it is red.", "It is true that it is red."),
    ("true", "It is true that it is red.|It is false that the claim is wrong.", "It is true that the claim is false."),
    ("yes", "It is true that there is a dog.|True, there is a dog", "True, no dog is visible.|It is true that none is"),
    ("no", "It is not true that there is a dog.", "It is true that there is a dog."),
)


def score(answer: str, gold: str, kind: str, options: tuple[str, ...] = ()) -> float:
    example = Example(uid="0", question="What?", options=options, answer=gold, problem_type=kind, media=())
    return accuracy(example, f"<think>a</think><answer>{answer}</answer>")


@pytest.mark.parametrize(("options", "letter", "answers"), CHOICES)
def test_a_judged_clause_chooses_by_its_own_polarity(options: tuple[str, ...], letter: str, answers: str) -> None:
    for answer in answers.split("|"):
        earned = [score(answer, own[0], "multiple choice", options) for own in options]
        assert earned == [float(own[0] == letter) for own in options], answer


@pytest.mark.parametrize(("gold", "right", "wrong"), TEXTS)
def test_a_judged_clause_in_free_form(gold: str, right: str, wrong: str) -> None:
    assert {a: score(a, gold, "free-form") for a in right.split("|")} == dict.fromkeys(right.split("|"), 1.0)
    assert {a: score(a, gold, "free-form") for a in wrong.split("|")} == dict.fromkeys(wrong.split("|"), 0.0)
