"""Options that an answer compares, judged by hand: what stands behind "than" is not the answer."""

from __future__ import annotations

import pytest
from judged import check_letter

from ral.evaluation.benchmarks import choice
from ral.rewards.accuracy import accuracy
from ral.types import Example

SAMPLES = ("A. neither; the samples have the same temperature", "B. sample B", "C. sample A")
IN_ORDER = ("A. sample A", "B. sample B")
HOTTER = (
    "Compare the average kinetic energies of the particles in each sample. Which sample has the higher temperature?"
)
LOWER = "Which sample does not have the higher temperature?"
NEAR = ("A. chair", "B. lamp")
NEARER = (
    "Estimate the real-world distances between objects. Which object is closer to the table, the chair or the lamp?"
)
DOORS = ("A. refrigerator", "B. door")
TO_CAMERA = (
    "Which object is closer to the camera taking this photo, the refrigerator (highlighted by a red box) or the door "
    "(highlighted by a blue box)?"
)

# options ; question ; letter, "" for none ; answers
TABLE = (
    (SAMPLES, HOTTER, "C", "Sample A has a higher temperature than sample B."
     "|Sample A has a higher average kinetic energy than sample B, so sample A."
     "|The particles in sample A have a higher average kinetic energy than those in sample B, so sample A has the "
     "higher temperature.|Compared to sample B, sample A has a higher temperature."
     "|Unlike sample B, sample A has the higher temperature."
     "|Sample A has a higher temperature compared to sample B.|Sample A rather than sample B"
     "|sample A instead of sample B|Sample A has the higher temperature, unlike sample B."
     "|Sample B has a lower temperature than sample A, so sample A."),
    (SAMPLES, HOTTER, "B", "Sample B has a higher temperature than sample A.|It is sample B"),
    (IN_ORDER, HOTTER, "A", "Sample A has a higher temperature than sample B."),
    (IN_ORDER, HOTTER, "B", "Sample B has a higher temperature than sample A."),
    (SAMPLES, HOTTER, "", "Sample B has a lower temperature than sample A."
     "|Sample A does not have a higher temperature than sample B."
     "|Sample A may have a higher temperature than sample B.|Sample A has a higher mass than sample B."
     "|Sample A has the same temperature as sample B.|Does sample A have a higher temperature than sample B?"
     "|Unlike sample B, sample A has the lower temperature.|Sample A is hotter than sample B."
     "|Neither sample A nor sample B has a higher temperature than the other"
     "|Sample A has a temperature twice higher than sample B."),
    (IN_ORDER, HOTTER, "", "Sample B has a lower temperature than sample A."
     "|Sample A has a lower temperature than sample B.|Sample A has a lower temperature than B."
     "|Sample A does not have a higher temperature than sample B.|Sample A has a higher mass than sample B."),
    (IN_ORDER, LOWER, "", "Sample A has a higher temperature than sample B."),
    (NEAR, NEARER, "A", "The chair is closer to the table than the lamp.|The chair is closer than the lamp."
     "|The chair is closer to the table than the lamp is.|The lamp is farther away, so the chair."),
    (NEAR, NEARER, "B", "The lamp is closer to the table than the chair.|The chair is farther away, so it's the lamp."),
    (NEAR, NEARER, "", "The chair is farther from the table than the lamp."
     "|The chair is closer to the door than the lamp.|The chair is not closer to the table than the lamp."
     "|Nothing is closer to the table than the lamp.|The chair is closer to the table than the sofa."
     "|The lamp is farther away, so the chair and the lamp."
     "|The chair is bright, so the lamp is seen."
     "|The lamp is farther than the chair.|The lamp is closer to the chair than the table."),
    (DOORS, TO_CAMERA, "B",
     "The door (highlighted by a blue box) is closer to the camera than the refrigerator."
     "|The refrigerator is farther away, so the door."),
)  # fmt: skip


@pytest.mark.parametrize(("options", "question", "letter", "answers"), TABLE)
def test_by_hand(options: tuple[str, ...], question: str, letter: str, answers: str) -> None:
    for answer in answers.split("|"):
        check_letter(answer, options, question, letter)


@pytest.mark.parametrize(
    ("options", "question", "answer"),
    [
        (SAMPLES, HOTTER, "I doubt that sample A has a higher temperature than sample B, so sample A."),
        (NEAR, NEARER, "The lamp might be farther away, so the chair."),
        (NEAR, NEARER, "It is unclear whether the lamp is farther away, so the chair."),
    ],
)
def test_rewards_read_no_conclusion_behind_a_doubt(options: tuple[str, ...], question: str, answer: str) -> None:
    for own in options:
        example = Example("u", question, own[0], "multiple choice", options=options)
        assert accuracy(example, f"<answer>{answer}</answer>") == 0.0, own


def test_benchmarks_read_each_sentence_of_a_comparison() -> None:
    told = "The chair is closer than the lamp, so the lamp is farther away."
    assert choice.letter(told, NEAR, NEARER) == "A"
    assert choice.letter("The lamp is closer than the chair, so the lamp is farther away.", NEAR, NEARER) == ""
    for letter in "AB":
        example = Example("u", NEARER, letter, "multiple choice", options=NEAR)
        assert accuracy(example, f"<answer>{told}</answer>") == 0.0


COLOURS = ("A. red", "B. blue", "C. green")
SIZES = ("A. Increases", "B. Decreases", "C. Stays the same")


@pytest.mark.parametrize(
    ("options", "question", "letter", "answer"),
    [
        (COLOURS, "What color is the car?", "", "The car was red before it was painted."),
        (COLOURS, "What color is the car?", "", "The car is no longer red."),
        (COLOURS, "What color is the car?", "A", "The car was red."),
        (COLOURS, "What color was the car before it was painted?", "A", "The car was red before it was painted."),
        (SIZES, "What happens to the balloon?", "C", "It does not decrease; it stays the same."),
        (SIZES, "What happens to the balloon?", "B", "It doesn't increase. It decreases."),
        (SIZES, "What happens to the balloon?", "", "It does not decrease; it may increase."),
        (SIZES, "What happens to the balloon?", "", "It does not move; it may increase."),
    ],
)
def test_what_was_before_or_is_denied_is_set_aside(
    options: tuple[str, ...], question: str, letter: str, answer: str
) -> None:
    check_letter(answer, options, question, letter)
