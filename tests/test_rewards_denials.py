"""Answers that are taken back, denied or wrapped in a function, judged by hand before the rules were run on them."""

from __future__ import annotations

import pytest

from ral.rewards.accuracy import accuracy, check_gold
from ral.types import Example, UserError

ANIMALS = ("A. cat", "B. dog", "C. bird")

# of gold 5 as a number, and of gold B of ANIMALS: @ stands for "5" and "B"
DENIED = """
@ is wrong|@ is incorrect|@ is not right|@ isn't right|@ is not the answer|@ would be wrong|@ would not be correct
@ seems wrong|@ was wrong|@ is false|@ is definitely wrong|@ is impossible|@ cannot be right|@? No, that is wrong|@? No.
@ 不对|@ 不正确|@ 是错的|@ 错了|@不是答案|@ ist falsch|@ es incorrecto|@ est faux|@ неверно|@, which is wrong|@ (wrong)
@ - wrong|@: incorrect.|@. That is incorrect.|@, but that is wrong|cannot be @|it can't be @|It could not be @|not @
anything but @|everything except @|I don't think it is @|I do not believe the answer is @|I doubt it is @|不是@
不可能是@|rather than @|the answer is not @|the wrong answer is @|**@** is wrong|\\boxed{@} is wrong|not \\boxed{@}
@? Certainly not|@? Of course not|@? Absolutely not.|@? Definitely not|@? Probably not|@? Hardly|@. Certainly not.
@? Never!|It is wrong to say @|It would be wrong to say @|it would be incorrect to answer @|It is not right to say @
@? I doubt it
It is a mistake to think it is @|没有@|@? Not really|@, of course not|It would be false to claim that it is @
"""
MEANT = """
@ is right|@ is correct|@ is the answer|@? Yes|It is @.|**@**|@? Certainly|@? Of course!
@ because the other is wrong|@, since the other is wrong
"""


def phrases(block: str, said: str) -> list[str]:
    """The phrases of a block about an answer."""
    return [phrase.replace("@", said) for line in block.split("\n") for phrase in line.split("|") if phrase]


def score(gold: str, answer: str, kind: str = "numerical", options: tuple[str, ...] = ()) -> float:
    """The accuracy of one answer."""
    return accuracy(Example("u", "?", gold, kind, options=options), f"<answer>{answer}</answer>")


@pytest.mark.parametrize("answer", phrases(DENIED, "5"))
def test_a_number_that_is_taken_back_is_no_answer(answer: str) -> None:
    assert score("5", answer) == 0.0


@pytest.mark.parametrize("answer", phrases(DENIED, "B"))
def test_a_letter_that_is_taken_back_is_no_answer(answer: str) -> None:
    assert score("B", answer, "multiple choice", ANIMALS) == 0.0


@pytest.mark.parametrize("answer", phrases(MEANT, "5"))
def test_a_number_that_is_meant_counts(answer: str) -> None:
    assert score("5", answer) == 1.0


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        *[
            ("5", a, False)
            for a in ("5 apples is wrong", "5 cm is not correct", "$5 is wrong", "5% is wrong", "five? No")
        ],
        *[
            ("5", a, False)
            for a in ("five is wrong", "cannot be five", "五不对", "没有5个", "5 is too many", "5, no, that's wrong")
        ],
        *[
            ("5", a, True)
            for a in ("5, not 6", "5 rather than 6", "5 instead of 4", "not 6 but 5", "5, 不是6", "No, 5")
        ],
        *[
            ("5", a, True)
            for a in ("5 wrong answers", "5 are wrong", "5 people are not wearing hats", "5 of them are false")
        ],
        *[
            ("5", a, True)
            for a in ("nothing but 5", "The number of cars that are not red is 5", "5? No doubt", "No. 5")
        ],
        *[
            ("5", a, True)
            for a in ("5 not counting the dog", "5, because the other count is wrong", "5 out of the box")
        ],
        ("5", "It is 5 or 6", False),
        ("6", "5, not 6", False),
        ("6", "not 6 but 5", False),
        ("2 h 30 min", "2 h 30 min", True),
    ],
)
def test_numbers_and_words_of_denial(gold: str, answer: str, right: bool) -> None:
    assert score(gold, answer) == float(right)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        *[
            (a, False)
            for a in ("B. dog is not right", "B. dog? No, that is wrong", "(B)? No.", "dog is wrong", "not dog")
        ],
        *[
            (a, True)
            for a in ("B, not A", "B. A is wrong", "B because A is wrong", "B. dog (A is wrong)", "B is right")
        ],
        *[(a, True) for a in ("B. The cat is wrong", "B. It is not a cat", "B, since A cannot be right")],
    ],
)
def test_letters_and_words_of_denial(answer: str, right: bool) -> None:
    assert score("B", answer, "multiple choice", ANIMALS) == float(right)


FUNCTIONS = """
log(3)|ln 3|ln(3)|sin(3)|sin 3|arctan 3|exp(3)|f(3)|f(-3)|g (3)|f'(3)|log_2(3)|log2(3)|log_{10}(3)|max(3)|\\log(3)
\\ln{3}|\\operatorname{f}(3)|3 squared|3 cubed|square root of 3|the square root of 3|cube root of 3|twice 3|half of 3
3 factorial|x + 3|3 - x|abs(x+3)|sqrt(3)|√3|-(-(3))
"""


@pytest.mark.parametrize("answer", phrases(FUNCTIONS, ""))
def test_a_function_of_a_number_is_not_the_number(answer: str) -> None:
    assert score("3", answer) == score("-3", answer) == 0.0


@pytest.mark.parametrize("gold", ["log(3)", "f(3)", "sin 3", "5 is wrong", "not 5"])
def test_such_a_gold_answer_is_refused(gold: str) -> None:
    with pytest.raises(UserError, match="holds no single number"):
        check_gold(Example("u", "?", gold, "numerical"))


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        *[("sqrt(2)", a) for a in ("1.414", "1.41421", "√2", r"\sqrt{2}")],
        *[("1.414", a) for a in ("sqrt(2)", "sqrt 2", "sqrt2", "sqrt{2}", r"\sqrt 2", "2/sqrt(2)")],
        *[
            ("5", a)
            for a in ("sqrt(25)", "x = sqrt(25)", "10/sqrt(4)", "f(2) = 5", "log(x) = 5", "total(5)", "five(5)")
        ],
        *[("5", a) for a in ("max = 5", "5 maximum", "|-5|", "answer(5)", "5 squares", "minimum 5")],
        *[("6.28", a) for a in ("2pi", "2 pi", "2*pi", "2π")],
        *[("1.57", a) for a in ("pi/2", "π/2")],
        ("sqrt 2", "1.414"),
        ("2*sqrt(3)", "3.464"),
        ("-5", "-(5)"),
    ],
)
def test_roots_and_pi_have_their_value(gold: str, answer: str) -> None:
    assert score(gold, answer) == 1.0
