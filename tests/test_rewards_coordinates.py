"""Boxes and points in a model's own writing, judged by hand before the rules ran."""

from __future__ import annotations

import pytest
from judged import check_letter

from ral.rewards.accuracy import accuracy
from ral.types import Example

BOXES = ("A. [0.20, 0.40, 0.35, 0.72]", "B. [0.20, 0.40, 0.53, 0.72]", "C. [0.02, 0.40, 0.35, 0.72]")
BOX = "Which bounding box holds the dog?"
POINTS = ("A. (250, 80)", "B. (80, 250)", "C. (25, 80)")
POINT = "At which point is the spoon?"
INTERVALS = ("A. (1, 4)", "B. (2, 5)", "C. [3, 6]")
INTERVAL = "Which interval solves the inequality?"

# options ; question ; letter, "" for none ; answers, between §
TABLE = (
    (BOXES, BOX, "B", "[0.20, 0.40, 0.53, 0.72]§[0.2,0.4,0.53,0.72]§(0.20, 0.40, 0.53, 0.72)§0.2, 0.4, 0.53, 0.72"
     '§{"bbox_2d": [0.20, 0.40, 0.53, 0.72], "label": "dog"}§[{"bbox_2d": [0.2, 0.4, 0.53, 0.72]}]'
     '§```json\n[\n\t{"bbox_2d": [0.20, 0.40, 0.53, 0.72], "label": "dog"}\n]\n```§(0.20,0.40),(0.53,0.72)'
     "§<|box_start|>(0.20,0.40),(0.53,0.72)<|box_end|>§The dog is in (0.2, 0.4, 0.53, 0.72)."),
    (BOXES, BOX, "", "[0.20, 0.40, 0.54, 0.72]§(0.4, 0.2, 0.72, 0.53)§[0.20, 0.40, 0.53]"
     "§The dog is not in (0.2, 0.4, 0.53, 0.72)§left of [0.20, 0.40, 0.53, 0.72]"
     "§The dog is next to [0.20, 0.40, 0.53, 0.72]"
     '§[{"bbox_2d": [0.2, 0.4, 0.53, 0.72]}, {"bbox_2d": [0.2, 0.4, 0.35, 0.72]}]§{"size": [0.2, 0.4, 0.53, 0.72]}'
     '§{"bbox_2d": [0.2, 0.4, 0.53, 0.72], "box": [0.2, 0.4, 0.35, 0.72]}'
     '§(0.2, 0.4, 0.53, 0.72) or (0.2, 0.4, 0.35, 0.72)'
     "§A. [0.2, 0.4, 0.53, 0.72]§[0.2, 0.4, 0.53, 0.72), 3"),
    (POINTS, POINT, "A", '[250, 80]§(250,80)§250, 80§(250, 80.0)§{"point_2d": [250, 80], "label": "spoon"}'
     "§The spoon is at [250, 80]."),
    (POINTS, POINT, "B", "[80, 250]"),
    (POINTS, POINT, "", '[250, 8]§250.80§{"point_2d": [250, 81]}§[250, 80] or [80, 250]§250,80,1§A. [80, 250]'),
    (INTERVALS, INTERVAL, "A", "(1, 4)§(1,4)"),
    (INTERVALS, INTERVAL, "C", "[3, 6]§[3.0, 6]"),
    (INTERVALS, INTERVAL, "", "[1, 4]§(3, 6)§(1, 4]§[2, 5)§2, 5"),
)  # fmt: skip
ROWS = [(*row[:3], answer) for row in TABLE for answer in row[3].split("§")]

# gold ; question ; the same ; others
FREE = (
    ("<|box_start|>(10,20),(30,40)<|box_end|>", "Locate the dog.", "(10,20),(30,40)§[10, 20, 30, 40]"
     "§<|box_start|>(10,20),(30,40)<|box_end|>", "(10,20),(30,41)§(20,10),(40,30)"),
    ("[10, 20, 30, 40]", "Give the box.",
     '(10, 20, 30, 40)§{"bbox_2d": [10, 20, 30, 40]}§10, 20, 30, 40§[10,20.0,30,40]',
     "[10, 20, 30]§[40, 30, 20, 10]"),
    ("(3, 4)", "Give the coordinates of P.", "[3, 4]§(3.0, 4)", "(4, 3)"),
    ("(3, 4)", "Where does the function fall? Give the interval.", "(3, 4)", "(4, 3)"),
    ("(3, 4)", "Solve the inequality.", "(3, 4)", "(4, 3)"),
)  # fmt: skip


@pytest.mark.parametrize(("options", "question", "letter", "answer"), ROWS)
def test_the_numbers_name_the_box(options: tuple[str, ...], question: str, letter: str, answer: str) -> None:
    check_letter(answer, options, question, letter)


@pytest.mark.parametrize(("gold", "question", "same", "others"), FREE)
def test_free_form_boxes_are_compared_by_their_numbers(gold: str, question: str, same: str, others: str) -> None:
    example = Example("u", question, gold, "free-form")
    assert all(accuracy(example, f"<answer>{answer}</answer>") == 1.0 for answer in same.split("§"))
    assert all(accuracy(example, f"<answer>{answer}</answer>") < 1.0 for answer in others.split("§"))
