"""Options in other forms of their words, numbers beside numbered names, and plain forms of texts, judged by hand."""

from __future__ import annotations

import pytest

from ral.rewards.accuracy import accuracy
from ral.types import Example

CHANGE = ("A. Increase", "B. Decrease", "C. Stay the same")
PLACES = ("A. First", "B. Second", "C. Third")
NUMBERED = ("A. 1st", "B. 2nd", "C. 3rd")

# options ; letter, "-" for none ; answers
CHOICES = (
    (CHANGE, "B", "It decreases over time.|Decreases|It is decreasing|The value decreased.|decreasing|It Decreases"),
    (CHANGE, "C", "It stays the same.|stays the same|It stayed the same"),
    (CHANGE, "A", "The number increases.|It has increased|increasing"),
    (CHANGE, "-", "It first increases and then decreases|It never increases|It may decrease or increase|Increasement"),
    (CHANGE, "-", "It does not decrease|It is not decreasing"),
    (("A. Drop", "B. Stop", "C. Rise"), "B", "It stopped.|It is stopping"),
    (("A. Drop", "B. Stop", "C. Rise"), "C", "It is rising.|It rises"),
    (("A. Nike", "B. Puma"), "-", "Nikes are shown"),
    (("A. Stop", "B. Stops"), "B", "It stops."),
    (("A. Stop", "B. Stops and waits"), "-", "It stops."),
    (("A. dogs", "B. dogs and cats"), "B", "dogs and cats"),
    (("A. Turn left", "B. Turn right"), "A", "It turns left.|The car turned left|turning left"),
    (("A. Turn left", "B. Turn right"), "-", "It turns.|It turns left, then turns right"),
    (("A. Paint", "B. Wood"), "-", "a painting|wooded"),
    (("A. Build", "B. Buildings"), "B", "Buildings"),
    (("A. Run", "B. Sit"), "-", "runs"),
    (PLACES, "B", "It's the 2nd one.|2nd|the 2nd|The 2nd person"),
    (NUMBERED, "B", "second|The second person|It is the second one."),
    (NUMBERED, "-", "the fourth|the second or the third|4th|not the second"),
    (PLACES, "-", "12nd|the 2nd or the 3rd|The 20th"),
)

# gold ; answers that are right ; answers that are not
NUMBERS = (
    ("6", "Table 2 lists 6 countries.|Figure 3 shows 6 bars.|Fig. 3 shows 6 bars.", "Figure 6 shows 3 bars"),
    ("6", "On page 4 there are 6 figures.|In frame 3, there are 6 people.|At 0:15 there are 6 people", "In frame 6"
     ", there are 3 people"),
    ("6", "Between frame 3 and frame 5 there are 6 people|In Question 3, the answer is 6", "Chapter 6 begins on 3"),
    ("2", "Player 10 scored 2 goals.|In Table 1 and Figure 3 there are 2 stars.", "Figure 3 shows 6 bars and 2 lines"),
    ("10", "Player 10|page 10|At the gate 10", "Player 1 and player 10 are there"),
    ("3", "Table 3", "Table 3.5 lists it"),
    ("8", "The 2 groups have 4 each, so 8|Group 2 has 8 people", "Group 8 has 2 people|8 groups of 2 people"),
)  # fmt: skip

# gold ; answers that earn 1 ; answers that do not
TEXTS = (
    ("free-form", "two", "2|2.|Two|two|**2**", "3|2 dogs or 3|22|-2|1/2"),
    ("free-form", "2", "two|Two.", "three|2.5"),
    ("free-form", "twenty-one", "21|Twenty one", "20"),
    ("free-form", "a couple of dogs", "a couple of dogs", "2"),
    ("OCR", "NO PARKING 8AM-6PM", "NO PARKING 8AM–6PM|The sign reads: “NO PARKING 8AM—6PM”", "NO PARKING 8AM 6PM"),
    ("OCR", "Don't walk", "Don’t walk|Don't walk", "Dont walk"),
    ("OCR", "“Stop”", '"Stop"|Stop', "Step"),
)


def score(answer: str, gold: str, kind: str, options: tuple[str, ...] = ()) -> float:
    example = Example(uid="0", question="What?", options=options, answer=gold, problem_type=kind, media=())
    return accuracy(example, f"<think>a</think><answer>{answer}</answer>")


@pytest.mark.parametrize(("options", "letter", "answers"), CHOICES)
def test_an_option_in_another_form_of_its_word(options: tuple[str, ...], letter: str, answers: str) -> None:
    for answer in answers.split("|"):
        earned = [score(answer, own[0], "multiple choice", options) for own in options]
        assert earned == [float(own[0] == letter) for own in options], answer


@pytest.mark.parametrize(("gold", "right", "wrong"), NUMBERS)
def test_the_number_of_a_name_is_not_the_answer_beside_another(gold: str, right: str, wrong: str) -> None:
    assert {a: score(a, gold, "numerical") for a in right.split("|")} == dict.fromkeys(right.split("|"), 1.0)
    assert {a: score(a, gold, "numerical") for a in wrong.split("|")} == dict.fromkeys(wrong.split("|"), 0.0)


@pytest.mark.parametrize(("kind", "gold", "right", "wrong"), TEXTS)
def test_a_text_in_another_form(kind: str, gold: str, right: str, wrong: str) -> None:
    assert {a: score(a, gold, kind) for a in right.split("|")} == dict.fromkeys(right.split("|"), 1.0)
    assert all(score(a, gold, kind) < 1 for a in wrong.split("|")), wrong
