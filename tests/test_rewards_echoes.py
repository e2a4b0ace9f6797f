"""Answers that say a yes-or-no question again as a statement, judged by hand before the rules ran."""

from __future__ import annotations

import pytest
from judged import check_letter

GLASSES = "Is the man wearing glasses?"
CAT = "Is there a cat on the sofa?"
DOG = "Is the dog bigger than the cat?"

# question ; letter, "" for none ; answers, of A. Yes and B. No
TABLE = (
    (GLASSES, "A", "The man is wearing glasses.|He is wearing glasses.|The man is wearing glasses in the image."),
    (GLASSES, "B", "The man is not wearing any glasses.|He isn't wearing glasses.|**The man is not wearing glasses.**"),
    (GLASSES, "", "The man is not wearing a hat.|The woman is wearing glasses.|He is not only wearing glasses."
     "|He is not wearing his glasses.|He may be wearing glasses.|The man is wearing glasses or a mask."),
    (CAT, "A", "There is a cat on the sofa."),
    (CAT, "B", "There is no cat on the sofa.|There isn't any cat on the sofa.|There is not a cat on the sofa."),
    (CAT, "", "There is a cat on the floor.|There is a cat on the floor, but none on the sofa."),
    (DOG, "A", "The dog is bigger than the cat.|It is bigger than the cat."),
    (DOG, "B", "The dog is not bigger than the cat."),
    (DOG, "", "The cat is bigger than the dog.|The cat is not bigger than the dog."),
    ("Can the bird fly?", "B", "The bird cannot fly.|The bird can't fly.|It can not fly."),
    ("Does the man have a beard?", "B", "The man does not have a beard.|He doesn't have a beard."),
    ("Is the car not red?", "", "The car is not red.|The car is red."),
)  # fmt: skip
ROWS = [(*row[:2], answer) for row in TABLE for answer in row[2].split("|")]


@pytest.mark.parametrize(("question", "letter", "answer"), ROWS)
def test_a_question_said_again_is_yes_and_denied_no(question: str, letter: str, answer: str) -> None:
    check_letter(answer, ("A. Yes", "B. No"), question, letter)


def test_a_statement_said_again_is_true() -> None:
    check_letter("The car is not red.", ("A. True", "B. False"), "Is the car red?", "B")
    check_letter("The car is red.", ("A. red", "B. blue"), "Is the car red or blue?", "A")
