"""Answers that tell the converse of the relation that is asked, judged by hand before the rules ran."""

from __future__ import annotations

import pytest
from judged import check_letter

from ral.rewards.converses import asked_pair

FOUR = ("A. left", "B. right", "C. above", "D. below")
WHERE = "Where is the mug relative to the laptop?"
BALLS = ("A. To the left of", "B. To the right of", "C. In front of", "D. Behind")
COLOURED = "What is the position of the green ball relative to the white ball?"
TWO = ("A. above", "B. below")
EITHER = "Is the lamp above or below the shelf?"
COMPASS = ("A. north", "B. south", "C. east", "D. west")
MAP = "In which direction is the church from the station?"
CUPS = ("A. inside", "B. outside", "C. next to", "D. behind")
BOXED = "How is the spoon positioned in relation to the bowl?"

# options ; question ; letter, "" for none ; answers
TABLE = (
    (FOUR, WHERE, "A", "The mug is to the left of the laptop.|The laptop is to the right of the mug."
     "|The laptop is right of the mug.|The laptop is to the mug's right.|To the right of the mug is the laptop."
     "|The laptop is on the right, so the mug is on the left.|It is left of the laptop."
     "|The mug is to the left of the laptop, which is on the right.|Left, as the laptop is to the right of it."
     "|The mug is on the left and the laptop is on the right.|The laptop is on the right and the mug is on the left."
     "|The mug stands on the right side of the picture, to the left of the laptop."),
    (FOUR, WHERE, "B", "The laptop is to the left of the mug.|The laptop sits to the left of it."
     "|The mug is on the right of the laptop.|Relative to the laptop the mug is on the right."
     "|On the laptop's right is the mug."),
    (FOUR, WHERE, "C", "The laptop is below the mug.|The mug is above the laptop.|The laptop is under the mug."),
    (FOUR, WHERE, "", "The laptop is on the right.|The laptop is not to the right of the mug."
     "|The mug is on the left side of the picture, and the laptop is behind the mug.|To the right of the mug."
     "|The mug is to the left of the lamp.|The lamp is to the right of the mug."
     "|The mug has the laptop on its left.|The mug's right side has the laptop.|On the mug's right is the laptop."
     "|The laptop is right next to the mug.|The right side of the mug has the laptop."
     "|The laptop is to the right of the lamp.|Is the laptop to the right of the mug?"
     "|The laptop may be to the left of the mug, or the right."),
    (BALLS, COLOURED, "A", "The white ball is to the right of the green ball."
     "|The white one is to the right of the green one."
     "|The green ball is to the left of the white ball."),
    (BALLS, COLOURED, "C", "The white ball is behind the green ball.|The green ball is in front of the white ball."),
    (BALLS, COLOURED, "D", "The white ball is in front of the green ball."),
    (BALLS, COLOURED, "", "The white ball is on the left.|The white ball is next to the green ball."),
    (TWO, EITHER, "A", "The shelf is below the lamp.|The shelf is beneath the lamp.|The lamp is above the shelf."),
    (TWO, EITHER, "B", "The shelf is above the lamp.|The shelf is over the lamp, so the lamp is below."),
    (TWO, EITHER, "", "The shelf is below.|The shelf is above the sofa."),
    (COMPASS, MAP, "A", "The station is south of the church.|The church is north of the station."),
    (COMPASS, MAP, "C", "The station lies to the west of the church."),
    (COMPASS, MAP, "", "The station is south.|The station is south of the river."),
    (CUPS, BOXED, "C", "The bowl is next to the spoon.|The spoon is next to the bowl."),
    (CUPS, BOXED, "D", "The bowl is in front of the spoon.|The spoon is behind the bowl."),
    (CUPS, BOXED, "A", "The spoon is inside the bowl."),
    (CUPS, BOXED, "", "The bowl is inside the spoon.|The bowl is outside the spoon.|The bowl is behind the spoon."),
)  # fmt: skip
ROWS = [(*row[:3], answer) for row in TABLE for answer in row[3].split("|")]


@pytest.mark.parametrize(("options", "question", "letter", "answer"), ROWS)
def test_a_relation_is_that_of_the_thing_asked_about(
    options: tuple[str, ...], question: str, letter: str, answer: str
) -> None:
    check_letter(answer, options, question, letter)


@pytest.mark.parametrize(
    ("question", "pair"),
    [
        ("From the driver's view, where is the bus located with respect to the tree?", ("the bus", "the tree")),
        ("On which side of the road is the house?", ("the house", "the road")),
        ("Is the red car to the left or to the right of the blue car?", ("the red car", "the blue car")),
        ("Where is the dog relative to the camera?", None),
        ("Where is the dog in the picture?", None),
        ("What is the relationship between the man and the woman?", ("the man", "the woman")),
    ],
)
def test_a_question_names_its_two_things(question: str, pair: tuple[str, str] | None) -> None:
    assert asked_pair(question) == pair


def test_pronouns_of_two_people_are_left_open() -> None:
    question = "Is the boy to the left or right of the girl?"
    check_letter("She is on his right.", ("A. left", "B. right"), question, "")
    check_letter("The girl is on his right.", ("A. left", "B. right"), question, "")
    check_letter("The girl is on the boy's right.", ("A. left", "B. right"), question, "A")


@pytest.mark.parametrize(
    ("letter", "answers"),
    [
        ("A", "猫在狗的左边。|左边|猫位于狗的左边|它在狗的左边"),
        ("B", "猫在狗的右边。|右边"),
        ("", "狗在猫的左边。|狗在左边。|狗位于猫的右边"),
    ],
)
def test_chinese_relations_of_the_other_thing_name_none(letter: str, answers: str) -> None:
    for answer in answers.split("|"):
        check_letter(answer, ("A. 左边", "B. 右边"), "图中猫在狗的哪一边？", letter)


@pytest.mark.parametrize(
    ("letter", "answers"),
    [
        ("", "The mug is facing left.|The mug is turned to the right.|The mug is right next to it."
         "|The mug is left behind.|The mug is to the left of the laptop's owner.|The one on the left is the laptop."
         "|From the laptop's perspective, the mug is on the left."),
        ("A", "The mug is to the left of the laptop's position."
         "|From the viewer's perspective, the mug is on the left."),
        ("B", "The mug is on the right.|The mug is to the right, next to the lamp."),
        ("C", "The mug is right above the laptop."),
    ],
)  # fmt: skip
def test_a_way_that_a_thing_faces_is_no_place(letter: str, answers: str) -> None:
    for answer in answers.split("|"):
        check_letter(answer, FOUR, WHERE, letter)


def test_another_view_counts_where_it_is_asked_for() -> None:
    question = "From the man's perspective, where is the mug relative to the laptop?"
    check_letter("From the man's perspective, the mug is on the left.", FOUR, question, "A")


def test_chinese_things_of_one_kind_are_told_apart() -> None:
    options, question = ("A. 左侧", "B. 右侧"), "图中红色汽车在白色汽车的什么位置？"
    check_letter("白色汽车在红色汽车的左侧。", options, question, "")
    check_letter("红色汽车位于白色汽车的右侧。", options, question, "B")


def test_questions_without_two_things_are_read_as_before() -> None:
    check_letter("The dog is on the right side.", FOUR, "Where is the dog in the picture?", "B")
    check_letter("The dog is to the right of the cat.", ("A. dog", "B. mouse"), WHERE, "A")
