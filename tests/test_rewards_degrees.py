"""States that hold to a degree, judged by hand before the rules ran: a gate that is half open is not open."""

from __future__ import annotations

import pytest
from judged import check_letter

GATE = ("A. Open", "B. Closed", "C. Half open")
STATE = "What is the state of the gate?"
PARTLY = ("A. Open", "B. Partially open", "C. Shut")
JAR = ("A. Full", "B. Empty", "C. Half full")
CUP = "How full is the jar?"
SKY = ("A. Cloudy", "B. Sunny", "C. Rainy")
SIDES = ("A. left", "B. right")
SIZES = ("A. larger", "B. smaller")
HAN = ("A. 打开", "B. 关闭", "C. 半开")

# options ; question ; letter, "" for none ; answers
TABLE = (
    (GATE, STATE, "A", "The gate is open.|It is wide open.|The gate is fully open.|It's completely open"),
    (GATE, STATE, "B", "The gate is closed.|It is firmly closed.|The gate is entirely closed."),
    (GATE, STATE, "C", "The gate is half open.|It is halfway open.|The gate is half-open.|The gate stands open halfway."
     "|half way open|It is 50% open."),
    (GATE, STATE, "", "The gate is partially open.|It is slightly open.|partly open|The gate is half closed."
     "|It is almost closed.|The gate is open a crack.|The gate is mostly closed.|It is a little open."
     "|The gate is one third open.|The gate is open about a quarter.|It is 80% open.|The gate is not fully closed."),
    (GATE, STATE, "", "The gate is practically closed.|It is as good as closed.|The gate is open by 50%"
     "|It will be closed soon.|The gate is about to open.|The gate should be closed."
     "|It is closed at first and then opened."),
    (GATE, "What will happen to the gate?", "B", "The gate will be closed."),
    (GATE, "What is the state of the gate at the start?", "B", "It is closed at first."),
    (PARTLY, STATE, "B", "The gate is partly open.|It is partially open.|The gate is partway open."),
    (PARTLY, STATE, "A", "The gate is open."),
    (PARTLY, STATE, "", "The gate is half open.|It is partly shut.|slightly shut"),
    (JAR, CUP, "A", "The jar is full.|It is full to the brim.|The jar is completely full."),
    (JAR, CUP, "C", "It is half full.|The jar is halfway full.|about half full"),
    (JAR, CUP, "", "The jar is two thirds full.|It is half empty.|The jar is three-quarters full.|It is 3/4 full."
     "|The jar is partially full.|It is nearly empty.|The jar is mostly empty.|It is 80% full.|a quarter full"),
    (SKY, "How is the weather?", "B", "It is sunny.|It is a bit sunny"),
    (SKY, "How is the weather?", "", "It is partly cloudy.|half sunny"),
    (SIDES, "On which side is the door?", "A", "It is slightly left.|The door is a little to the left."),
    (SIZES, "How does the second one compare?", "A", "It is slightly larger.|It is somewhat larger"),
    (HAN, "门的状态是什么?", "A", "门是打开的|门打开着"),
    (HAN, "门的状态是什么?", "", "门部分打开|门微微打开|门半关闭"),
)  # fmt: skip
ROWS = [(*row[:3], answer) for row in TABLE for answer in row[3].split("|")]


@pytest.mark.parametrize(("options", "question", "letter", "answer"), ROWS)
def test_a_state_in_part_is_not_the_state(options: tuple[str, ...], question: str, letter: str, answer: str) -> None:
    check_letter(answer, options, question, letter)
