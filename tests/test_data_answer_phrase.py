"""Gold answers given as a sentence that presents them: what is presented is the gold answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ral.data.answer_phrase import presented
from ral.data.fields import Entry
from ral.data.parse import parse_own
from ral.rewards.accuracy import accuracy
from ral.types import Example

LISTED = "Hint: choose.\nQuestion: Which shape?\nChoices:\n(A) cone\n(B) cube\n(C) ball"


def read(answer: Any, question: str = "Which shape?", **fields: Any) -> Example:
    said = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return parse_own(Entry(Path("d"), 1, {"conversations": said, "images": [], **fields}, Path()))


@pytest.mark.parametrize(
    "answer",
    [
        *("The answer is B", "Answer: B", "The correct answer is B.", "The correct answer is (B) cube.", "ANSWER: (B)"),
        *("So the answer is option B.", "**Answer:** B", "The correct option is B. cube", "答案是B", "Option B"),
        *("It has six faces. The answer is B.", "A cube, by its faces.\nTherefore, the final answer is: **B**"),
    ],
)
def test_the_letter_that_a_sentence_presents_is_the_gold_answer(answer: str) -> None:
    for example in (read(answer, LISTED), read(answer, options=["cone", "cube", "ball"])):
        assert (example.problem_type, example.answer) == ("multiple choice", "B")
        assert example.options == ("A. cone", "B. cube", "C. ball")
        assert accuracy(example, "<answer>The answer is C</answer>") == 0


@pytest.mark.parametrize(
    ("said", "gold"),
    [
        ("The answer is 3", "3"),
        ("The answer is 3.5.", "3.5"),
        ("Answer: the red cone", "the red cone"),
        ("Two and one are three. So the answer is 3.", "3"),
        ("The answer to the question is J. K.", "J. K."),
        ("**Answer: cone**", "cone"),
        ("最终答案：圆锥。", "圆锥"),
        ("The answer is no, since it rains", "no, since it rains"),
        *((text, text) for text in ("The answer isn't known.", "Answer the door.", "An answering machine", "Answer:")),
        *(
            (text, text)
            for text in ("The man said that the answer is 3", "red.", "It rained. The answer is no. I left.")
        ),
    ],
)
def test_the_phrase_is_no_part_of_an_answer_in_words(said: str, gold: str) -> None:
    assert presented(said) == gold and (read(said).answer, read(said).problem_type) == (gold, "free-form")


def test_a_right_number_earns_more_than_the_same_sentence_with_another() -> None:
    example = read("The answer is 3", "How many?")
    assert accuracy(example, "<answer>3</answer>") == 1 and accuracy(example, "<answer>The answer is 4</answer>") == 0


def test_a_phrase_that_is_read_or_chosen_stays() -> None:
    assert read("Answer: B", "What is written there?", problem_type="OCR").answer == "Answer: B"
    options = ["The answer is yes", "The answer is no"]
    assert read("The answer is no", options=options).answer == "B"
    assert read("Answer: 3", "Is 'Answer: 3' or 'Answer: 4' on the board?").answer == "Answer: 3"
