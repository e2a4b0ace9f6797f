"""Options that are things done, told of somebody in the answer, judged by hand."""

from __future__ import annotations

import pytest
from judged import check_letter

from ral.rewards.accuracy import accuracy
from ral.types import Example

DOG = ("A. walk away", "B. pat its head", "C. throw the ball", "D. pick up the leash", "E. sit down")
AFTER = "What does the man do after the dog jumps up?"
CARS = ("A. car on the left", "B. dog near the tree", "C. bus at the stop")
FRONT = ("A. car up front", "B. bus up ahead", "C. dog near the tree", "D. cat near it", "E. bird on a tree")
MIXED = ("A. carry the box", "B. carries the box", "C. open the door")

# options ; question ; letter, "" for none ; answers
TABLE = (
    (DOG, AFTER, "B", "He pats its head.|After the dog jumps up, the man pats its head.|He patted its head"
     "|He is patting its head.|The man then pats its head.|After he sits down, he pats its head."),
    (DOG, AFTER, "C", "He throws the ball.|He threw the ball.|The man throws the ball"),
    (DOG, AFTER, "D", "He picks up the leash.|The man picked up the leash."),
    (DOG, AFTER, "E", "The man sits down.|He sat down.|She sits down."),
    (DOG, "?", "E", "The dog sits down."),
    (DOG, AFTER, "", "He does not pat its head.|He never pats its head.|He stops patting its head."
     "|He pats its head and sits down.|He pats its head or throws the ball.|The dog sits down."
     "|After the man sits down.|Perhaps he pats its head.|He pats its tail.|He almost sits down."
     "|He pretends that he throws the ball.|I cannot tell whether he sits down.|He refuses to sit down."
     "|Does he sit down?|No man sits down."),
    (CARS, "Which?", "", "The cars on the left|They are the dogs near the tree"),
    (FRONT, "Which?", "", "The red cars up front"),
    (MIXED, "?", "B", "He carries the box."),
    (MIXED, "?", "C", "He opens the door.|He opened the door."),
    (MIXED, "?", "", "He saw the opened door|It is carried by the boxes"),
)  # fmt: skip

# answers that are 4; answers that are not
TIMES = (
    "The person claps four times.|He claps four times in the video.|The person claps a total of four times."
    "|The person claps a total of four times (at 0:02, 0:03, 0:05 and 0:07).|The dog barks exactly four times"
    "|The person claps four times during the first 10 seconds.|4 times (at 2s, 3s, 5s and 7s)"
    "|The man jumps up four times.",
    "The person does not clap four times.|The person claps at least four times.|The person claps three or four times."
    "|The person claps four times as often as the two others.|The person claps five times.|He may clap four times."
    "|The person claps four times (at 0:02, 0:03 and 0:05).|He claps two times four times."
    "|The person claps four times a minute.|Does the person clap four times?|The person never claps four times."
    "|The person claps four times (at 0:02, 0:03, 0:05 and 0:07 or 0:09).|The person claps less than four times."
    "|The two boys clap four times.",
)


@pytest.mark.parametrize(("options", "question", "letter", "answers"), TABLE)
def test_by_hand(options: tuple[str, ...], question: str, letter: str, answers: str) -> None:
    for answer in answers.split("|"):
        check_letter(answer, options, question, letter)


@pytest.mark.parametrize(("answers", "right"), [(TIMES[0], 1.0), (TIMES[1], 0.0)])
def test_how_often_something_is_done(answers: str, right: float) -> None:
    example = Example("u", "How many times does the person clap?", "4", "numerical")
    earned = {answer: accuracy(example, f"<answer>{answer}</answer>") for answer in answers.split("|")}
    assert earned == dict.fromkeys(answers.split("|"), right)
