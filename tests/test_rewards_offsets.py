"""Numbers that measure from elsewhere than asked, or count another thing: judged by hand before the rules ran."""

from __future__ import annotations

import pytest

from ral.rewards.accuracy import accuracy
from ral.types import Example

SECOND = "At what second does the light turn green?"
MANY = "How many seconds does the kettle need?"
TALL = "How tall is the tower in meters?"
FAR = "How many meters is it to the door?"
APART = "How many seconds before the end does the light turn green?"
DIFFERENCE = "How much taller is the tower than the house in meters?"
WHEN = "When does the light turn green, in seconds?"
FRAME = "At which frame does the light turn green?"

# question ; gold ; right answers ; wrong answers
TABLE = (
    (SECOND, "20", "20 s|at 20 seconds|20 seconds into the video|at time 20 s|after 20 seconds|0:20|20|second 20"
     "|20 seconds after the start|20 seconds from the beginning of the clip|around the 20-second mark|**20 seconds**",
     "20 seconds before the end|20 seconds from the end|frame 20|in frame 20|after 20 frames|20 minutes"
     "|20 seconds after it turns red|20 seconds later|twenty seconds before the end|20 s prior to the crash"
     "|the 20th frame|20 seconds after the car starts|**20** seconds before the end|20 meters|20 seconds remaining"),
    (SECOND, "7", "The light turns green at 0:07.|It happens at around 0:07 in the video.",
     "It does not happen at 0:07.|The light turns green at 0:08.|before the cut at 0:07"),
    (SECOND, "60", "1 minute|60 s|1 min", "60 minutes|1 minute before the end"),
    (MANY, "90", "90 seconds|90|1.5 minutes|1 minute and 30 seconds", "90 minutes|90 frames|90 steps|90 kg|90 laps"),
    (TALL, "30", "30 m|30 meters|3000 cm|It is 30 m tall|30",
     "30 m taller than the house|30 times the height of the man|30 feet|30 kg|30 floors|30 m above the trees"),
    (FAR, "6", "6 m|6|600 cm|6 meters away", "6 steps|6 km|6 seconds|6 m more than before|6 times as far"),
    (APART, "5", "5 seconds before the end|5 seconds|5", "5 minutes before the end|5 frames"),
    (DIFFERENCE, "8", "8 m taller than the house|8 m|The tower is 8 meters taller.", "8 feet"),
    (WHEN, "20", "at 20 s|20", "20 seconds before the end|frame 20|20 s later"),
    (FRAME, "20", "frame 20|20|the 20th frame", "21"),
    ("What is its speed in meters per second?", "5", "5 m/s|5 meters per second|5", "6 m/s"),
    ("How many hours and minutes does it last?", "2", "2 hours|2", "3 hours"),
    ("How many minutes is the clip?", "5", "5 m|5 min|300 seconds", "5 seconds|5 frames"),
    ("How high is the balloon in meters?", "40", "40 m above the ground|40 m",
     "40 m above the trees|40 m higher than the roof"),
    ("How many meters is the lamp above the table?", "2", "2 m above the table", "2 m more than the shelf"),
    ("What time does the clock show?", "3:45", "15 minutes before 4|quarter to four|3:45", "15 minutes before the end"),
    ("When was the bridge built?", "1950", "1950|in 1950|1950 after the war", "5 years before the war"),
    ("How many people are there?", "3", "3 people|3|There are 3 people before the gate.", "2"),
)  # fmt: skip
RIGHT = [(question, gold, answer) for question, gold, right, _ in TABLE for answer in right.split("|")]
WRONG = [(question, gold, answer) for question, gold, _, wrong in TABLE for answer in wrong.split("|")]


def score(question: str, gold: str, answer: str) -> float:
    """The accuracy of one numerical answer."""
    return accuracy(Example("u", question, gold, "numerical"), f"<answer>{answer}</answer>")


@pytest.mark.parametrize(("question", "gold", "answer"), RIGHT)
def test_the_measure_asked_for(question: str, gold: str, answer: str) -> None:
    assert score(question, gold, answer) == 1.0


@pytest.mark.parametrize(("question", "gold", "answer"), WRONG)
def test_another_measure(question: str, gold: str, answer: str) -> None:
    assert score(question, gold, answer) == 0.0


def test_a_gold_with_its_unit_is_not_met_by_a_difference() -> None:
    assert score("How tall is the tower?", "30 m", "30 m taller than the house") == 0.0
    assert score("How tall is the tower?", "30 m", "30 m tall") == 1.0
