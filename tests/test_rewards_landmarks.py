"""Landmarks beside what is meant, for rewards and benchmarks, and prose of benchmarks, judged by hand."""

from __future__ import annotations

import pytest

from ral.evaluation.benchmarks import choice
from ral.rewards.accuracy import accuracy
from ral.types import Example

ROOMS = ("A. kitchen", "B. living room", "C. bedroom")
PLACES = ("A. the park", "B. the beach", "C. the school")
THINGS = ("A. chair", "B. table", "C. lamp", "D. sofa")
SPORTS = ("A. tennis", "B. soccer", "C. golf")
SIDES = ("A. left", "B. right")
COLOURS = ("A. red", "B. blue", "C. green", "D. yellow")
COUNTS = ("A. 3", "B. 4", "C. 5", "D. 6")
PEOPLE = ("A. man", "B. woman")
YES_NO = ("A. Yes", "B. No")

# options ; question ; letter, "-" for none ; answers
BOTH = (
    (ROOMS, "Where is he?", "-", "outside the kitchen|just past the kitchen|in front of the kitchen|across from it"),
    (ROOMS, "Where is he?", "-", "the room next to the kitchen|opposite the bedroom|He is away from the small kitchen"),
    (ROOMS, "Where is he?", "A", "inside the kitchen|He is in the kitchen|He is in the kitchen, behind the table"),
    (ROOMS, "Where is he?", "A", "He moves over to the kitchen|In the kitchen under the lamp|at the kitchen"),
    (ROOMS, "Where is he?", "B", "living room, next to the kitchen|in the living room, just behind the kitchen"),
    (ROOMS, "What is he in front of?", "A", "in front of the kitchen|the kitchen"),
    (PLACES, "Where?", "-", "on the way to the school|away from the beach|towards the beach|beyond the park"),
    (PLACES, "Where?", "B", "at the beach|He is on the beach|near the beach"),
    (THINGS, "What is under the lamp?", "-", "under the lamp"),
    (THINGS, "What is under the lamp?", "A", "a chair|It is a chair."),
    (THINGS, "What is it?", "-", "the thing next to the sofa|beside the chair|behind the table|It is under the table"),
    (THINGS, "What is it?", "B", "behind him is a table|It is on the table|a table"),
    (THINGS, "What is the cat behind?", "D", "behind the sofa|The cat is behind the sofa."),
    (("A. under the table", "B. under the chair"), "Where?", "B", "under the chair|It is under the chair."),
    (SPORTS, "Which sport?", "-", "He quit tennis.|He gave up golf|a fan of soccer playing tennis"),
    (SPORTS, "Which sport?", "A", "He plays tennis|tennis, I believe|definitely tennis"),
    (SIDES, "Where?", "A", "left of the car|to the left, right next to the lamp|It is to the left of the man."),
    (SIDES, "Where?", "B", "right-hand side|on the right hand side|to the right of the lamp"),
    (("A. on", "B. off"), "The light?", "A", "It is turned on.|turned on|It is on."),
    (("A. on", "B. off"), "The light?", "B", "The light on the desk is off.|It is switched off"),
    (YES_NO, "Is there a dog?", "B", "The dog is not brown; it's black. So the answer is no.|Sure, let me look. No."),
    (YES_NO, "Is there a dog?", "A", "No problem! The answer is yes.|It is unlikely that there is none, so yes"),
    (YES_NO, "Is there a dog?", "-", "yes or no|No, yes|It may be that the answer is no|I cannot tell. Yes or no"),
)  # fmt: skip

# the same of benchmarks alone, whose sentences may be many
PROSE = (
    (COLOURS, "", "Everything except B|non-blue|The car is far from blue.|Any color but blue|redder than blue"),
    (COLOURS, "", "blue-green|It is red and blue"),
    (COLOURS, "", "the opposite of red|The car is not blue. It could be red.|anything but (B)|All but B"),
    (COLOURS, "", "The red car is beside the blue car. Green trees are around.|The sky is blue and the car is red."),
    (COLOURS, "C", "It would be B if the car were blue, but it is green.|The car is green. It's not red."),
    (COLOURS, "A", "If it were blue, I would pick B. It is red.|The car in the picture is red. It stands there."),
    (COLOURS, "B", "A quick look at the image shows a blue car.|The car that is shown in the image is clearly blue"),
    (THINGS, "", "a chair-shaped cake|looks like a chair cushion|under the lamp|a table and a sofa"),
    (COUNTS, "", "more than 5|3 adults and 2 children|less than 4|5 or 6"),
    (COUNTS, "C", "There are 5 of them.|I count 5"),
    (PEOPLE, "", "The man's wife|The man and the woman|not the man"),
    (PEOPLE, "A", "It is the man who runs. He is fast.|The man."),
)  # fmt: skip


@pytest.mark.parametrize(("options", "question", "letter", "answers"), BOTH)
def test_a_landmark_is_not_the_place(options: tuple[str, ...], question: str, letter: str, answers: str) -> None:
    for answer in answers.split("|"):
        text = f"<think>a</think><answer>{answer}</answer>"
        asked = [Example("0", question, own[0], "multiple choice", options=options) for own in options]
        assert [accuracy(one, text) for one in asked] == [float(own[0] == letter) for own in options], answer
        assert choice.letter(answer, options, question) == letter.strip("-"), answer


@pytest.mark.parametrize(("options", "letter", "answers"), PROSE)
def test_prose_of_a_benchmark_has_the_guards_of_rewards(options: tuple[str, ...], letter: str, answers: str) -> None:
    for answer in answers.split("|"):
        assert choice.letter(answer, options, "What is it?") == letter, answer
