"""Answers by the opposite of the comparative asked for, and of equality, judged by hand before the rules ran."""

from __future__ import annotations

import pytest
from judged import check_letter

TWO = ("A. the bus", "B. the van")
LONGER = "Which is longer, the bus or the van?"
FASTER = "Which vehicle is faster?"
DEAR = "Which is more expensive, the bus or the van?"
OLDEST = "Which of them is the oldest?"
THREE = ("A. cats", "B. dogs", "C. the same number")
MORE = "Are there more cats or dogs in the picture?"
FEWER = "Are there fewer cats or dogs in the picture?"
PAIR = ("A. cats", "B. dogs")
LEVEL = ("A. Left bowl", "B. Right bowl", "C. They are equal")
HEAVIER = "Which bowl is heavier?"
DEGREE = ("A. larger", "B. smaller")

# options ; question ; letter, "" for none ; answers
TABLE = (
    (TWO, LONGER, "A", "The bus is longer.|The van is shorter.|The van is the shorter one."
     "|It is the van that is shorter."),
    (TWO, LONGER, "B", "The van is longer.|The bus is shorter."),
    (TWO, LONGER, "", "The van is not longer.|The bus is shorter and the van is longer, or not."
     "|The van has less length."),
    (TWO, FASTER, "A", "The van is slower.|The bus moves faster.|The bus has a higher speed."),
    (TWO, FASTER, "", "The bus has a lower speed.|The van may be slower."),
    (TWO, DEAR, "A", "The van is cheaper.|The van is less expensive.|The bus is pricier."),
    (TWO, DEAR, "B", "The bus is cheaper.|The van costs more."),
    (TWO, DEAR, "", "The bus costs less."),
    (TWO, OLDEST, "B", "The bus is the youngest.|The bus is newer."
     "|The van is the oldest, because it has fewer lights."),
    (THREE, MORE, "A", "There are more cats.|There are more cats in the picture."),
    (THREE, MORE, "B", "More dogs.|There are more dogs."),
    (THREE, MORE, "C", "There are the same number of cats and dogs.|There are equal numbers of cats and dogs."
     "|There are as many cats as dogs.|They are equal.|There are equally many.|The same amount."),
    (THREE, MORE, "", "There are fewer dogs.|Fewer cats.|There are less cats.|The dogs are fewer."
     "|They are the same colour.|There are not the same number of cats and dogs.|There are twice as many cats as dogs."
     "|There are almost as many cats as dogs.|They are unequal.|The dogs are the same."),
    (THREE, FEWER, "B", "There are fewer dogs."),
    (THREE, FEWER, "", "There are more cats."),
    (PAIR, MORE, "A", "There are fewer dogs.|Fewer dogs.|There are more cats."),
    (PAIR, FEWER, "A", "There are more dogs.|There are fewer cats."),
    (LEVEL, HEAVIER, "C", "The left bowl and the right bowl have the same weight.|Both bowls are equally heavy."
     "|The bowls are equal in weight."),
    (LEVEL, HEAVIER, "A", "The left bowl is heavier."),
    (LEVEL, HEAVIER, "", "The left bowl is lighter.|The right bowl is the lightest."
     "|The two bowls have the same shape."),
    (TWO, "Which is larger?", "A", "The bus is large.|The bus is the big one."),
    (TWO, "Which is larger?", "", "The bus is small.|The van is the tiny one.|The bus is very small."),
    (TWO, "Which of the two arrives first?", "A",
     "The bus arrives first.|The van arrives last.|The van is the last to arrive.|The bus gets there first,"
     " followed by the van."),
    (TWO, "Which of the two arrives last?", "B", "The van arrives last.|The bus arrives first."),
    (TWO, "Which of the two arrives last?", "", "The bus gets there first, followed by the van."),
    (THREE, MORE, "C", "There are 3 cats and 3 dogs, so the numbers are equal."),
    (THREE, MORE, "", "There are 3 cats and 4 dogs, so the numbers are equal."
     "|There are 3 cats and 3 dogs, so the numbers are not equal."),
    (DEGREE, "Compared with the first ball, is the second larger?", "B", "It is smaller.|The second ball is smaller."),
)  # fmt: skip
ROWS = [(*row[:3], answer) for row in TABLE for answer in row[3].split("|")]


@pytest.mark.parametrize(("options", "question", "letter", "answer"), ROWS)
def test_the_opposite_of_what_is_asked_is_not_the_answer(
    options: tuple[str, ...], question: str, letter: str, answer: str
) -> None:
    check_letter(answer, options, question, letter)
