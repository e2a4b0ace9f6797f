"""Options that are signs, relations or ranges of numbers, judged by hand."""

from __future__ import annotations

import pytest

from tests.judged import check_letter

SIGNS = ("A. >", "B. <", "C. =")
WHICH_SIGN = "Which sign makes the statement true? 5 ? 7"
EQUAL = "Which sign makes the statement true? 5 ? 5"
LATEX = ("A. $x > 3$", r"B. $x \ge 3$", "C. $x < 3$", r"D. $x \le 3$")
PLAIN = ("A. x > 3", "B. x ≥ 3", "C. x < 3", "D. x ≤ 3")
LINES = ("A. y = 2x + 1", "B. y = 2x - 1", "C. y = x + 2", "D. y = -2x + 1")
TWO_SIDED = ("A. 1 < x < 3", "B. 1 ≤ x ≤ 3")
COUNTS = ("A. 1-5", "B. 6-10", "C. 11-20", "D. More than 20")
MEASURED = ("A. 1-5 cm", "B. 6-10 cm")
SCORES = ("A. 1-2", "B. 0-5", "C. 1-3")
TOUCHING = ("A. 0-5", "B. 5-10")
WHAT = "Which inequality is shown on the number line?"
MANY = "How many people are in the picture?"

# options ; question ; letter, "-" for none ; answers
SAID = (
    (SIGNS, WHICH_SIGN, "B", r"<|5 < 7|less than|The sign is <.|\lt|&lt;|5 is less than 7, so <|$<$|is less than"),
    (SIGNS, EQUAL, "C", "=|equals|equal to|They are equal.|5 = 5|5 equals 5"),
    (SIGNS, WHICH_SIGN, "A", "5 > 7|greater than"),
    (SIGNS, WHICH_SIGN, "-", "7 > 5|5 is less than 7, so >|4 < 6|not less than|less than or equal to|< or =|5 < 77"),
    (SIGNS, WHICH_SIGN, "-", "They are not equal.|5 is not less than 7|less than?|less|15 < 7|<="),
    *((own, WHAT, "B", r"x ≥ 3|x >= 3|$x \geq 3$|x \ge 3|3 ≤ x|x is greater than or equal to 3|x≥3")
      for own in (LATEX, PLAIN)),
    *((own, WHAT, "A", "x>3|$x>3$|3 < x|x is greater than 3|x > 3.0|It is x>3.")
      for own in (LATEX, PLAIN)),
    *((own, WHAT, "-", "x > 4|x > -3|y > 3|x is not greater than 3|x>3 or x<3|-x > 3|x ≠ 3|3 = x|x > 33")
      for own in (LATEX, PLAIN)),
    (LINES, WHAT, "A", "y=2x+1|y = 1 + 2x|2x + 1 = y|$y = 1+2x$"),
    (LINES, WHAT, "B", "y = -1 + 2x"),
    (LINES, WHAT, "-", "y = 2x + 2|y = 2 + 1x + 1x + 1|x = 2y + 1|y ≠ 2x + 1|y = 2x + 1 + z|y = 2(x + 1)"),
    (TWO_SIDED, WHAT, "A", "3 > x > 1|1<x<3"),
    (TWO_SIDED, WHAT, "-", "1 < x > 3|1 < x ≤ 3|3 < x < 1|1 < x"),
    (COUNTS, MANY, "B", "7|There are 7 people.|8 people, so 6-10|There are 6 to 10 people.|8 (6-10)|seven people|10"),
    (COUNTS, MANY, "B", "There are 7 people, which is in the range 6-10.|between 6 and 10 people|6-10 people"),
    (COUNTS, MANY, "D", "25|over 20|more than twenty|There are 25 people in the picture.|21|There are over 20."),
    (COUNTS, MANY, "C", "20|11 to 20"),
    (COUNTS, MANY, "-", "0|-7|7 (1-5)|6-11|7 to 12|at least 7|7 or more|not 7|7 dozen|7 or 12|over 10"),
    (COUNTS, MANY, "-", "7 hundred|7 more people|less than 20|7?|20.5 or so|10.5|maybe 7|6 and 12|7%|7 men and 2 dogs"),
    (MEASURED, "How long?", "B", "7 cm|7|6 to 10 cm"),
    (MEASURED, "How long?", "-", "7 m|7 inches|6 to 10 m|70 mm"),
    (TOUCHING, "How many?", "-", "5|five"),
    (TOUCHING, "How many?", "A", "4"),
    (SCORES, "What is the score?", "-", "5|There are 3."),
)  # fmt: skip


@pytest.mark.parametrize(("options", "question", "letter", "answers"), SAID)
def test_a_sign_relation_or_range_in_another_writing(
    options: tuple[str, ...], question: str, letter: str, answers: str
) -> None:
    for answer in answers.split("|"):
        check_letter(answer, options, question, letter.strip("-"))
