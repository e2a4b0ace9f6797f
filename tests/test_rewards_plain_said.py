"""Answers with something said around them, options in other forms, and counts in free form, judged by hand."""

from __future__ import annotations

import pytest

from ral.rewards.accuracy import accuracy
from ral.types import Example

COLOURS = ("A. red", "B. blue", "C. green", "D. yellow")
SIDES = ("A. left", "B. right")
TWO = ("A. The ball is red", "B. The ball is big", "C. Neither A nor B", "D. Both A and B")
ACTIONS = ("A. opening the fridge", "B. closing the fridge", "C. washing the dishes")
CHANGES = ("A. increases", "B. decreases", "C. stays the same")
TIMES = ("A. 00:10 - 00:20", "B. 00:20 - 00:30", "C. 00:30 - 00:40")
YES_NO = ("A. Yes", "B. No")

# options ; question ; letter, "-" for none ; answers
CHOICES = (
    (COLOURS, "Which?", "B", "I'd go with B, though D is tempting.|~~A~~ B"),
    (COLOURS, "Which?", "B", "B, although green is close.|100% sure it's B"),
    (COLOURS, "Which?", "-", "B, though D is right|B, though I'm not sure|B, although D is equally plausible"),
    (COLOURS, "Which?", "A", "It used to be blue, now it is red."),
    (COLOURS, "What did it use to be?", "-", "It used to be blue, now it is red."),
    (SIDES, "Where?", "A", "All right, left.|That's right, it is on the left."),
    (SIDES, "Where?", "B", "All right, right.|right"),
    (TWO, "Which?", "C", "Neither.|Neither of them|Neither A nor B is true."),
    (TWO, "Which?", "D", "Both.|Both A and B are true.|Both of them are correct"),
    (COLOURS, "Which?", "-", "Both.|Neither.|Both A and B"),
    (ACTIONS, "What?", "A", "He opens the fridge.|He is opening the fridge"),
    (ACTIONS, "What?", "B", "He closes the fridge.|closing the fridge"),
    (ACTIONS, "What?", "-", "The fridge is closed.|He opens the window.|He does not open the fridge"),
    (CHANGES, "How?", "B", "It decreased.|It is decreasing|decreasing"),
    (CHANGES, "How?", "-", "It stops increasing.|It is not decreasing|It first increased and then decreased"),
    (TIMES, "When?", "B", "From 00:20 to 00:30|between 00:20 and 00:30|0:20 - 0:30|00:20–00:30"),
    (TIMES, "When?", "-", "From 00:20 to 00:40|00:20|between 0:10 and 0:30"),
    (YES_NO, "Is there a dog?", "B", "There is no dog in the image.|There are no dogs.|Certainly not."),
    (YES_NO, "Is there a dog?", "A", "There is a dog.|Absolutely!|Definitely."),
    (YES_NO, "Is there a dog?", "-", "There is no cat.|There is no dog in the kitchen"),
    (YES_NO, "Is there a dog?", "-", "There is no brown dog|There is a dog house"),
)  # fmt: skip

# gold ; answers that are right ; answers that are not
NUMBERS = (
    ("12", "I am 90% confident that the answer is 12.|12 (because 2 of the 14 are hidden)", "90% sure|12% sure"),
    ("4", "100% sure it's 4|nearly 100, 4 to be exact", "4% sure it's 5|4 or 5, to be exact"),
    ("10", "r = 10 cm (since d = 20 cm)|10 (not counting the 2 dogs)", "d = 20 cm (since r = 10 cm)|maybe 10"),
    ("1", "once|A single person.|Only once", "at once I saw it|a single glance tells|maybe one"),
    ("2", "Twice.|2", "twice 3|maybe 2|perhaps two|possibly 2|once"),
    ("0", "There aren't any.|None are visible.|I don't see any.|I can't see any dogs", "-"),
    ("0", "none", "I don't see any image.|There isn't any way to tell.|I don't see any but two|There aren't any other"),
)  # fmt: skip

# gold ; answers that earn 1 ; answers that do not
TEXTS = (
    ("3", "There are 3 dogs.|3 dogs", "There are 4 dogs.|3 or 4|more than 3|3%|3 kg|maybe 3"),
    ("three", "There are 3 dogs.", "There are 2 dogs."),
    ("no", "Certainly not.|Absolutely not!", "Certainly!|Not certainly"),
    ("yes", "Absolutely!|Of course.", "Of course not."),
    ("3 dogs", "3 dogs", "3"),
)


def score(answer: str, gold: str, kind: str, options: tuple[str, ...] = (), question: str = "What?") -> float:
    example = Example(uid="0", question=question, options=options, answer=gold, problem_type=kind, media=())
    return accuracy(example, f"<think>a</think><answer>{answer}</answer>")


@pytest.mark.parametrize(("options", "question", "letter", "answers"), CHOICES)
def test_a_choice_is_read_alone(options: tuple[str, ...], question: str, letter: str, answers: str) -> None:
    for answer in answers.split("|"):
        earned = [score(answer, own[0], "multiple choice", options, question) for own in options]
        assert earned == [float(own[0] == letter) for own in options], answer


@pytest.mark.parametrize(("gold", "right", "wrong"), NUMBERS)
def test_a_number_is_read_alone(gold: str, right: str, wrong: str) -> None:
    assert {a: score(a, gold, "numerical") for a in right.split("|")} == dict.fromkeys(right.split("|"), 1.0)
    assert {a: score(a, gold, "numerical") for a in wrong.split("|")} == dict.fromkeys(wrong.split("|"), 0.0)


@pytest.mark.parametrize(("gold", "right", "wrong"), TEXTS)
def test_a_count_in_free_form(gold: str, right: str, wrong: str) -> None:
    assert {a: score(a, gold, "free-form") for a in right.split("|")} == dict.fromkeys(right.split("|"), 1.0)
    assert all(score(a, gold, "free-form") < 1.0 for a in wrong.split("|"))
