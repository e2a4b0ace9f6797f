"""Counts with a list, periods and names of the question beside a number, spoken times, formulas, objects of JSON."""

from __future__ import annotations

import pytest
from test_rewards_forms import score

from ral.evaluation.benchmarks import choice
from ral.rewards.accuracy import accuracy
from ral.types import Example

COUNTED = [
    ("2", "There are two people: a man and a woman."),
    ("2", "There are two people (a man and a woman)."),
    ("2", "There are two people: one man and one woman."),
    ("3", "There are **three** cars:\n- a red sedan\n- a blue van\n- a white truck"),
    ("3", "There are three cars: red, blue and white."),
    ("3", "I see three cars: all of them red."),
    ("3", "I can count three cars."),
    ("3", "I can see three distinct cars in the image."),
    ("3", "There are three small red cars visible in this picture."),
    ("3", "- Left lane: 2 cars\n- Right lane: 1 car\n\n**Total: 3 cars**"),
    ("3", "* left: 2\n* right: 1\n* total: 3"),
    ("42", "The value in March 2020 was 42."),
    ("42", "The value in 2020 was 42."),
    ("42", "42 (March 2020)"),
    ("42", "42 (2020)"),
    ("42", "March 2020: 42"),
    ("4.2 billion", "$4.2 billion (Q3 2021)"),
    ("4.2 billion", "Revenue in Q3 2021 was $4.2 billion."),
    ("4.2 billion", "In Q3 2021, the revenue was $4.2 billion, up 12% from Q3 2020."),
    ("4.2 billion", "According to the chart, Q3 2021 revenue is approximately 4.2 billion dollars."),
    ("5", "FY2021: 5"),
    ("5", "The 2021 Q3 value is 5"),
    ("5", "5, down 3.5 percent"),
    ("5", "5 (an increase of 12% over 2020)"),
    ("2:30", "It is half past two."),
    ("2:30", "half past 2"),
    ("1:45", "a quarter to two"),
    ("2:15", "The clock shows quarter past two."),
    ("2:10", "ten past two"),
    ("1:50", "It is ten minutes to two."),
    ("12:45", "quarter to one"),
    ("2:25", "twenty-five past two"),
    ("2:30 PM", "half past two in the afternoon"),
    ("2:30", "The hour hand is between 2 and 3 and the minute hand points at 6, so it is 2:30."),
    ("2:30", "The minute hand points at 6, so it is 2:30."),
    ("2:30", "It is 2:30, since the hour hand is between 2 and 3."),
    ("2√3", "The length is 2√3."),
    ("5/6", "The probability is $\\frac{5}{6}$."),
    ("7", '```json\n{"answer": 7, "confidence": 0.9}\n```'),
    ("7", '{"final_answer": "7 cars", "reason": "3 + 4"}'),
    ("7", "<|begin_of_box|>7<|end_of_box|>"),
]
NOT_COUNTED = [
    ("2", "There are two people: a man, a woman and a child."),
    ("2", "There are two people: a man or a woman."),
    ("2", "There are two people and one dog."),
    ("2", "There are two people: none of them a man and a woman."),
    ("2", "There are at least two people: a man and a woman."),
    ("2", "There are not two people: a man and a woman."),
    ("2", "There are two people: a man and perhaps a woman."),
    ("2", "There are two or more: a man and a woman."),
    ("2", "two (wrong)"),
    ("2", "two: it may be three"),
    ("3", "I can't count three cars."),
    ("3", "I can count three cars, maybe four."),
    ("3", "There are three cars: red and blue."),
    ("3", "- Left: 2 cars\n- Right: 1 car"),
    ("4", "- Left: 2 cars\n- Right: 1 car\n**Total: 3 cars**"),
    ("2", "- Left: 2 cars\n- Right: 1 car\n**Total: 3 cars**"),
    ("2", "- two cars\n- three dogs"),
    ("3", "3 March 2020"),
    ("3", "March 3, 2020"),
    ("3", "Q3 2021"),
    ("42", "The value in 2020 or 42"),
    ("42", "Between March 2020 and 42"),
    ("5", "Q3 2021 to 5"),
    ("2020", "The value in March 2020 was 42."),
    ("2021", "4.2 (2021)"),
    ("4.2 billion", "Q3 2021: 4.2 billion, Q3 2022: 5.1 billion"),
    ("4.2 billion", "In Q3 2021, the revenue was $4.2 million, up 12% from Q3 2020."),
    ("12", "$4.2 billion, up 12%"),
    ("5", "5, up 12% or 13%"),
    ("3:30", "half past two"),
    ("2:30", "not half past two"),
    ("2:30", "half past two or three"),
    ("2:30", "half to two"),
    ("3:50", "ten to four"),
    ("4", "ten to four"),
    ("10", "ten to four"),
    ("2:30", "The minute hand is at 6, so it is not 2:30."),
    ("2:30", "The minute hand is at 6, so it is 2:30 or 3:30."),
    ("3:30", "The minute hand points at 6, so it is 2:30."),
    ("2:30", "The minute hand points at 6, so it is past 2:30."),
    ("2:30", "The hands show 3:15, so it is 2:30."),
    ("2", "It is not two people: a man and a woman."),
    ("2", "either two people: a man and a woman"),
    ("2√3", "The length is not 2√3."),
    ("2√3", "The length is less than 2√3."),
    ("2√3", "The reciprocal is 2√3."),
    ("0.9", '{"answer": 7, "confidence": 0.9}'),
    ("7", '{"answer": 7, "final_answer": 8}'),
    ("7", '{"answer": 7, "answer": 8}'),
    ("7", '{"answer": [7, 8]}'),
    ("7", '{"answer": "7 or 8"}'),
    ("7", '{"guess": {"answer": 7}, "answer": 8}'),
]


@pytest.mark.parametrize(("gold", "answer"), COUNTED)
def test_what_stands_beside_a_number_leaves_it_alone(gold: str, answer: str) -> None:
    assert score("n", gold, answer) == 1.0


@pytest.mark.parametrize(("gold", "answer"), NOT_COUNTED)
def test_two_numbers_bounds_and_doubts_stay_none(gold: str, answer: str) -> None:
    assert score("n", gold, answer) == 0.0


@pytest.mark.parametrize(
    ("question", "gold", "answer", "right"),
    [
        ("How far did runner 7 run?", "12", "Runner 7 ran 12 km.", True),
        ("What did Flat 12 cost, in dollars?", "40", "Flat 12 cost $40.", True),
        ("How far did runner 7 run?", "7", "Runner 7 ran 12 km.", False),
        ("How far did runner 8 run?", "12", "Runner 7 ran 12 km.", False),
        ("Is it runner 7 or runner 8?", "8", "runner 7 or runner 8", False),
        ("Who is first, rider 7 or rider 9?", "9", "rider 7, not rider 9", False),
        ("Is rider 7 the first?", "9", "rider 7 or 9", False),
        ("How many more than 5 are there?", "7", "more than 5, 7", False),
    ],
)
def test_numbers_that_name_what_the_question_asks_about(question: str, gold: str, answer: str, right: bool) -> None:
    example = Example("e", question, gold, "numerical")
    assert accuracy(example, f"<answer>{answer}</answer>") == float(right)


SUBSTANCES = ("A. CO2", "B. O2", "C. H2O", "D. H2O2")
SCRIPTS = ("A. $CO_2$", "B. $O_2$", "C. $H_2O$", "D. $H_2O_2$")
IONS = ("A. Na+", "B. Cl-", "C. Ca2+", "D. SO42-")
DIRECTIONS = ("A. front-left", "B. front-right", "C. back-right", "D. back-left")
PARTED = ("A. front left", "B. front right", "C. back right", "D. back left")
FRACTIONS = ("A. $\\frac{1}{2}$", "B. $\\frac{1}{3}$", "C. $\\frac{5}{6}$", "D. $\\frac{2}{3}$")
ROOTS = ("A. $3\\sqrt{2}$", "B. $\\sqrt{6}$", "C. $2\\sqrt{3}$")
FUNCTIONS = ("A. $x^2-1$", "B. $x^2$", "C. $x^2+1$")
COLORS = ("A. red", "B. green", "C. blue", "D. black")
CHOSEN = [
    *[(SUBSTANCES, said, True) for said in ("H₂O", "H_2O", "$\\mathrm{H_2O}$", "$\\text{H}_2\\text{O}$", "H$_2$O")],
    *[(SUBSTANCES, said, True) for said in ("$H_{2}O$", "The product is $H_2O$ (water).", "water (H_2O)")],
    *[(SUBSTANCES, said, False) for said in ("H_2O_2", "H₂O₂", "not H_2O", "$H_2O$ or $O_2$", "H^2O", "H_3O")],
    *[(SCRIPTS, said, True) for said in ("H2O", "H₂O", "$\\mathrm{H_2O}$", "It is H2O.")],
    *[(SCRIPTS, said, False) for said in ("H2O2", "HO", "H2O, O2")],
    *[(IONS, said, True) for said in ("$Ca^{2+}$", "Ca²⁺", "Ca^{2+}", "$\\mathrm{Ca^{2+}}$")],
    *[(IONS, said, False) for said in ("Ca", "$Ca^2$", "$SO_4^{2-}$")],
    *[(DIRECTIONS, said, True) for said in ("Back right", "to the back right of me", "It is to my back right.")],
    *[
        (DIRECTIONS, said, False)
        for said in ("right", "back, right", "back right or back left", "not back right", "Turn back right away.")
    ],
    *[(PARTED, said, True) for said in ("back-right", "It is to the back-right.")],
    *[(FRACTIONS, said, True) for said in ("5/6", "The probability is 5/6.", "The probability is $\\frac{5}{6}$.")],
    *[(FRACTIONS, f"The probability is {said}.", False) for said in ("not 5/6", "less than 5/6", "5/6 or 2/3", "6/5")],
    *[(ROOTS, said, True) for said in ("2√3", "The length is 2√3.", "The length is $2\\sqrt{3}$.")],
    *[(ROOTS, f"The {said}2√3.", False) for said in ("length is not ", "wrong length is ", "other length is over ")],
    *[(FUNCTIONS, said, True) for said in ("x²+1", "The function is x²+1.", "So the function is $x^2 + 1$.")],
    *[
        (FUNCTIONS, said, False)
        for said in ("The inverse function is x²+1.", "The function is not x²+1.", "x2+1 or x2")
    ],
    *[(COLORS, said, True) for said in ("<|begin_of_box|>C<|end_of_box|>", '{"answer": "C", "confidence": 0.95}')],
    *[(COLORS, said, True) for said in ('```json\n{"answer": "C"}\n```', '{"Answer": "blue", "why": "A is red"}')],
    *[(COLORS, said, True) for said in ("{'answer': 'C', 'confidence': 0.9}", '```\n{"option": "C. blue"}\n```')],
    *[(COLORS, said, False) for said in ('{"answer": "A", "confidence": 0.95}', '{"answer": "C", "choice": "A"}')],
    (COLORS, '{"answer": "C or A"}', False),
    (COLORS, "<|begin_of_box|>C<|end_of_box|><|begin_of_box|>A<|end_of_box|>", False),
]


@pytest.mark.parametrize(("options", "answer", "right"), CHOSEN)
def test_options_in_other_writing(options: tuple[str, ...], answer: str, right: bool) -> None:
    """Gold is C, of rewards and of benchmarks."""
    assert score("c", "C", answer, options) == float(right)
    assert (choice.letter(answer, options) == "C") is right


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ("Caution: Wet Floor", "CAUTION\nWET FLOOR", 1.0),
        ("Caution - Wet Floor", "CAUTION\nWET FLOOR", 1.0),
        ("Caution: Wet Floor", "CAUTION\nWET PAINT", 2 / 3),
        ("a-b c", "a\nb c", 0.0),
        ("EXIT", "The sign says EXIT.", 1.0),
        ("(555) 123-4567", "The phone number is (555) 123-4567.", 1.0),
        ("(555) 123-4567", "The phone number is (555) 123-4568.", 0.5),
        ("(555) 123-4567", "The phone number is not (555) 123-4567.", 0.0),
        ("EXIT", "The sign does not say EXIT.", 0.0),
        ("EXIT", "The sign says ENTRY.", 0.0),
        ("7ABC123", "The plate is either 7ABC123 or 7ABC128", 0.0),
    ],
)
def test_text_on_several_lines_and_in_a_sentence(gold: str, answer: str, expected: float) -> None:
    assert score("o", gold, answer) == pytest.approx(expected)
