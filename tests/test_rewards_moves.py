"""Options that are moves of a camera, numbered pictures, days, months or times of day, judged by hand."""

from __future__ import annotations

import pytest

from tests.judged import check_letter

CAMERA = ("A. Pan left", "B. Pan right", "C. Zoom in", "D. Tilt up")
ING = ("A. panning left", "B. panning right")
KITCHEN = ("A. Pan", "B. Pot")
IMAGES = ("A. Image 1", "B. Image 2", "C. Image 3", "D. Image 4")
ORDINALS = ("A. The first image", "B. The second image", "C. Both images", "D. Neither image")
DAYS = ("A. Monday", "B. Tuesday", "C. Wednesday", "D. Thursday")
MONTHS = ("A. January", "B. April", "C. May", "D. December")
TIMES = ("A. Morning", "B. Afternoon", "C. Night")
DAY_TIMES = ("A. Daytime", "B. Nighttime")
MOVE = "What is the camera movement in the video?"
DOG = "Which image shows a dog?"
MOST = "On which day was the most rain?"
WHEN = "What time of day is it?"

# options ; question ; letter, "-" for none ; answers
SAID = (
    (CAMERA, MOVE, "A", "The camera pans left.|The camera is panning to the left.|panning left|pans left"),
    (CAMERA, MOVE, "A", "The camera pans from right to left.|pan to the left|It pans slowly to the left."),
    (CAMERA, MOVE, "B", "The camera pans from left to right.|It pans right"),
    (CAMERA, MOVE, "C", "The camera zooms in on the man.|zooming in|It zooms in."),
    (CAMERA, MOVE, "D", "The camera tilts upwards.|It tilts up.|tilting up"),
    (CAMERA, MOVE, "-", "The camera zooms out.|It pans left, then right|It zooms in and out.|It tilts down."),
    (CAMERA, MOVE, "-", "The man pans left.|It does not pan to the left.|It pans from left to left.|It tilts left."),
    (CAMERA, MOVE, "-", "It pans left or right.|It stops panning left."),
    (ING, MOVE, "A", "The camera pans left.|The camera is panning left.|pan left"),
    (ING, MOVE, "-", "It zooms in.|pans up"),
    (KITCHEN, "What is on the stove?", "-", "He pans left.|panning left"),
    (IMAGES, DOG, "C", "the third image|The third one.|the 3rd image|Image three|third|Image #3"),
    (IMAGES, DOG, "C", "Image 3 shows a dog, while Image 1 shows a cat.|Only image 3 shows a dog."),
    (IMAGES, DOG, "-", "the third image from the right|the third row|the fifth image"),
    (IMAGES, DOG, "-", "Image 3 shows a cat, while Image 1 shows a bird."),
    (IMAGES, DOG, "-", "Image 3 shows a dog, while Image 1 shows a dog.|not the third image|the third or second one"),
    (IMAGES, DOG, "-", "Figure three|the third picture|a third|Image 0|the third dog"),
    (ORDINALS, "Which image has a car?", "B", "image 2|second|the second one|Image 2 has a car.|2nd image"),
    (ORDINALS, "Which image has a car?", "B", "Only the second image has a car."),
    (ORDINALS, "Which image has a car?", "A", "image 1"),
    (ORDINALS, "Which image has a car?", "-", "image 3|the third one|Image 2 has a dog, while image 1 has a cat."),
    (DAYS, MOST, "B", "Tue|Tue.|Tues.|on Tue|Tuesday had more rain than Monday.|Tuesday, followed by Monday."),
    (DAYS, MOST, "-", "Sat|Tu|not Tue|Tue or Wed|Tuesday had more sun than Monday."),
    (DAYS, "On which day was the least rain?", "-", "Tuesday had more rain than Monday."),
    (MONTHS, "Which month?", "D", "Dec|Dec.|in Dec|December"),
    (MONTHS, "Which month?", "-", "Feb|Decem|not Dec|Dec or Jan|after Dec"),
    (TIMES, WHEN, "C", "It is nighttime.|night time|at night|at nighttime|It is night."),
    (TIMES, WHEN, "-", "daytime|It is not nighttime.|knight time|nighttime or morning"),
    (DAY_TIMES, WHEN, "B", "night|It is night.|at night|night-time"),
    (DAY_TIMES, WHEN, "A", "day|daytime|It is day."),
    (DAY_TIMES, WHEN, "-", "not night|a nice day|the day after|midnight"),
)  # fmt: skip


@pytest.mark.parametrize(("options", "question", "letter", "answers"), SAID)
def test_a_move_place_or_time_in_another_form(
    options: tuple[str, ...], question: str, letter: str, answers: str
) -> None:
    for answer in answers.split("|"):
        check_letter(answer, options, question, letter.strip("-"))
