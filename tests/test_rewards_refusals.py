"""Refusals for want of a picture, and "one" that is anybody, judged by hand in both directions."""

from __future__ import annotations

import pytest

from ral.evaluation.benchmarks import choice
from ral.rewards.accuracy import accuracy
from ral.types import Example

YES_NO = ("A. Yes", "B. No")
REFUSED = (
    "No image was provided.|No images were included in your message.|No video is attached.|No picture found"
    "|No frames were provided to me|No content to analyze|No objects can be identified with certainty"
    "|No visual content available|No image.|There is no image attached.|I see no image.|I did not receive an image."
    "|The image was not provided.|No text or image was provided, so I cannot count.|No one can tell."
    "|No image or video has been provided|No, no image was provided.|no photo was uploaded|Nobody knows."
    "|No visual information available.|No image is attached, so I can't answer.|No frame was shared with me."
)
NONE = (
    "No images show a dog|No pictures are attached to the wall.|No dogs can be seen.|No birds are visible.|No pictures"
    "|No people are included in the group.|No picture is found in the room|No cars.|nobody|No frames show a cat"
    "|No files were deleted|none|There are no people in this image."
)
ANYBODY = (
    "One cannot tell how many.|One should count carefully.|One must look closely.|One can't say|One never knows."
    "|One would need to see it|One thing is certain"
)
SINGLE = (
    "One is visible.|One can be seen.|One|one dog|One has a hat|Only one can be seen|One may be hidden|There is one"
    "|One could be a dog|One needs a hat"
)


def score(answer: str, gold: str, kind: str = "numerical", options: tuple[str, ...] = ()) -> float:
    example = Example(uid="0", question="Is there a dog?", options=options, answer=gold, problem_type=kind, media=())
    return accuracy(example, f"<think>a</think><answer>{answer}</answer>")


@pytest.mark.parametrize("answer", REFUSED.split("|"))
def test_a_refusal_says_nothing(answer: str) -> None:
    assert score(answer, "0") == 0.0
    assert [score(answer, letter, "multiple choice", YES_NO) for letter in "AB"] == [0.0, 0.0]
    assert choice.letter(answer, YES_NO, "Is there a dog?") == ""
    assert score(answer, "no", "free-form") < 0.3


@pytest.mark.parametrize("answer", NONE.split("|"))
def test_what_is_not_there_is_counted_0(answer: str) -> None:
    assert score(answer, "0") == 1.0


@pytest.mark.parametrize("answer", ANYBODY.split("|"))
def test_one_may_be_anybody(answer: str) -> None:
    assert score(answer, "1") == score(answer, "A", "multiple choice", ("A. one", "B. two")) == 0.0


@pytest.mark.parametrize("answer", SINGLE.split("|"))
def test_one_may_be_a_number(answer: str) -> None:
    assert score(answer, "1") == 1.0
