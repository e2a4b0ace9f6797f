"""Orders against options that are lists with commas, and texts that a sentence says a thing is, judged by hand."""

from __future__ import annotations

import pytest
from judged import check_letter

from ral.rewards.accuracy import accuracy
from ral.types import Example

SEEN = (
    "A. blanket, trash can, microwave, plant",
    "B. plant, blanket, trash can, microwave",
    "C. trash can, plant, microwave, blanket",
    "D. microwave, blanket, plant, trash can",
)
TURNS = ("A. Turn left, turn right", "B. Turn right, turn left", "C. Turn right, turn right")
SAME = ("A. a, b", "B. red, blue", "C. red, blue")

# options ; letter, "" for none ; answers
ORDERS = (
    (SEEN, "B", "plant → blanket → trash can → microwave|plant -> blanket -> trash can -> microwave"
     "|1. plant\n2. blanket\n3. trash can\n4. microwave|Plant, then blanket, then trash can, then microwave."
     "|plant, then the blanket, then the trash can, and finally the microwave"
     "|The order is: plant → blanket → trash can → microwave|**plant → blanket → trash can → microwave**"
     "|1) plant\n2) blanket\n3) trash can\n4) microwave"),
    (SEEN, "A", "blanket → trash can → microwave → plant|Blanket, then trash can, then microwave, then plant"),
    (SEEN, "", "plant → trash can → blanket → microwave|plant → blanket → trash can"
     "|plant → blanket → trash can → microwave → plant|1. plant\n3. blanket\n2. trash can\n4. microwave"
     "|4. plant\n3. blanket\n2. trash can\n1. microwave"
     "|Not plant, then blanket, then trash can, then microwave|plant → blanket → trash can → microwave or oven"
     "|plant → blanket → trash can → microwave?|The order is not: plant → blanket → trash can → microwave"
     "|The reverse order is: plant → blanket → trash can → microwave"
     "|1. plant\nblanket\n3. trash can\n4. microwave"),
    (TURNS, "B", "Turn right, then turn left|Turn right → turn left|1. Turn right\n2. Turn left"),
    (TURNS, "", "Turn left, then turn left|Turn right, then turn left, then turn right"),
    (SAME, "", "red → blue|red, then blue"),
)  # fmt: skip

# gold ; answers that earn 1 ; answers that earn less
TEXTS = (
    ("ITC Limited", "The name is ITC Limited.|The company mentioned in the letter is ITC Limited.|ITC Limited",
     "The name is not ITC Limited.|The other name is ITC Limited.|The name is ITC.|The name may be ITC Limited"
     "|The name is probably ITC Limited|If the name is ITC Limited|The name is ITC Limited or TCI"
     "|The wrong name is ITC Limited|The previous name is ITC Limited"),
    ("Sunkist", "The bottle says Sunkist.|The brand is Sunkist|The drink's brand is Sunkist."
     "|The bottle reads: Sunkist", "The bottle does not say Sunkist.|I doubt the bottle says Sunkist."
     "|The bottle says Fanta.|The bottle says Sunkist Orange|Perhaps the bottle says Sunkist."),
    ("1/8/93", "The date mentioned in the letter is 1/8/93.|The date is \"1/8/93\".|The date is 1/8/93",
     "The date is 1/8/94.|The date that is not on the letter is 1/8/93.|The date is never 1/8/93"),
    ("P. Carter", "The contact person mentioned in the letter is P. Carter.|The contact person is: P. Carter",
     "The contact person is J. Carter.|The only one who is not the contact person is P. Carter."),
    ("The future is now", "The future is now|The future is now.", "The future is|now"),
)  # fmt: skip


@pytest.mark.parametrize(("options", "letter", "answers"), ORDERS)
def test_orders(options: tuple[str, ...], letter: str, answers: str) -> None:
    for answer in answers.split("|"):
        check_letter(answer, options, "Order?", letter)


@pytest.mark.parametrize(("gold", "right", "wrong"), TEXTS)
def test_texts_that_a_sentence_says_a_thing_is(gold: str, right: str, wrong: str) -> None:
    example = Example("u", "?", gold, "OCR")
    for whole, answers in ((True, right), (False, wrong)):
        earned = {a: accuracy(example, f"<answer>{a}</answer>") == 1.0 for a in answers.split("|")}
        assert earned == dict.fromkeys(earned, whole)
