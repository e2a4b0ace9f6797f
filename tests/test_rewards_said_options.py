"""Options that are ruled out, set aside, written in full or rounded, judged by hand: what each answer names."""

from __future__ import annotations

import pytest

from ral.evaluation.benchmarks.choice import letter as letter_read
from ral.rewards.accuracy import accuracy
from ral.types import Example

COLORS = ("A. red", "B. blue", "C. green", "D. black")
THINGS = ("A. red", "B. blue", "C. car", "D. green")
MAKERS = ("Toyota", "Honda", "BMW")
CHANGES = ("increases", "does not increase", "disappears")
SHARES = ("1/3", "2/3", "1/4", "5/6")


def named(answer: str, options: tuple[str, ...], question: str = "Which?") -> str:
    """The letters whose gold answer an answer meets."""
    found = ""
    for letter in "ABCDEF"[: len(options)]:
        example = Example("u", question, letter, "multiple choice", options=options)
        found += letter * int(accuracy(example, f"<think>so</think><answer>{answer}</answer>"))
    return found


def rows(options: tuple[str, ...], letter: str, block: str) -> list[tuple[tuple[str, ...], str, str]]:
    """(options, letter, answer) of each answer of a block."""
    return [(options, letter, text.strip()) for text in block.replace("\n", "|").split("|") if text.strip()]


TABLE = [
    # what plainly denies an option
    *rows(COLORS, "", """
    B is the only wrong one | B is the wrong answer | the only incorrect option is B | The wrong one is B
    B is a wrong choice
    The incorrect answer is B. | B is clearly the incorrect option | B, which is the wrong one
    B is an incorrect statement
    I would not call it B | I wouldn't say B | I wouldn't say it's B | I'm not sure it's B | It isn't B
    The false statement is B
    A and B are wrong | only B is wrong | B and A are wrong answers |
    B would be the wrong choice | blue is the wrong answer | the only wrong color is blue | B is the only false one
    """),
    *rows(COLORS, "B", """
    B is the only right one | B is the only correct option | the only correct option is B
    B, the others are wrong answers
    B; all others are wrong | B, since the rest are wrong | B and the other options are incorrect.
    B is correct, and A is wrong. | B but A is wrong | B is right and A is the wrong one | A is the wrong one, so B
    I would say B | I'd call it B
    Only B is right | The wrong ones are A, C and D, so B
    """),
    # what is set aside in front of the answer
    *rows(COLORS, "C", """
    Neither A nor B; C. | Neither A nor B, but C | Neither A nor B is right; the answer is C
    neither red nor blue; green
    既不是A也不是B，是C | 既不是A，也不是B，而是C | 不是A也不是B，是C | A和B都不是，是C
    It is neither A nor B. It's C.
    My first guess was B; on reflection it's C. | My first guess was B, but it is C
    My initial answer was A. On reflection, C
    My first thought was blue, but it is green. | At first glance B, but on closer inspection it's C
    B. On second thought, C.
    The first impression was A; after a closer look, it's C | My gut said B but the correct option is C
    C, on reflection.
    I first thought B, but the right option is C | Not A, not B, but C | Neither A nor B nor D; C
    """),
    *rows(COLORS, "", """
    Neither A nor B | Neither A nor B is right | neither red nor blue | Neither A nor B, because C says so
    既不是A也不是B
    My first guess was C; I'm not sure now | My first guess was C | Neither C nor B; C
    My first guess was A, but it's A or B
    既不是A也不是C，是A或B | C. On second thought, I am not sure. | Neither A nor B; C or D
    """),
    # an article before a noun that is an option's text is no letter
    *rows(THINGS, "C", "A car | A car. | a car | It is a car | A car! | The car | C. A car"),
    *rows(THINGS, "A", "A | A. red | A red | a"),
    *rows(THINGS, "", "A blue | A. car | A) car | A: blue | A - car | A green | A cart"),
    *rows(("car", "red", "bus"), "A", "A car | A car. | a car | A"),
    *rows(("bus", "paris", "cars", "yes"), "", "A Paris | A cars | A yes"),
    *rows(MAKERS, "A", """
    a Toyota Corolla | A Toyota Corolla | It is a Toyota Corolla. | a Toyota | The car is a Toyota RAV4 | A Toyota
    """),
    *rows(MAKERS, "B", "a Honda CR-V | It's a Honda Civic | the Honda Accord"),
    *rows(MAKERS, "", """
    a Toyota Corolla and a Honda Civic | not a Toyota Corolla | a Mazda 3 | a Toyota Corolla or a BMW X5
    """),
    *rows(("Toyota Corolla", "Toyota", "Toyota Camry"), "A", "a Toyota Corolla | Toyota Corolla"),
    *rows(("Dog", "Cat", "New York"), "", "It is a Dog House | a Cat House | a York"),
    # contractions
    *rows(CHANGES, "B", """
    It doesn't increase. | doesn't increase | It does not increase | doesn’t increase | It doesnt increase.
    B. It doesn't increase
    """),
    *rows(CHANGES, "", "It isn't so | It won't increase? | I don't think it doesn't increase | It doesn't disappear"),
    *rows(("increase", "decrease", "doesn't change"), "", "It doesn't increase | It does not decrease"),
    *rows(("increase", "decrease", "doesn't change"), "C", "It does not change | doesn't change | does not change."),
    *rows(("It's raining", "It isn't raining"), "B", "It is not raining. | it isn't raining"),
    *rows(("It's raining", "It isn't raining"), "A", "It is raining"),
    *rows(("He can't swim", "He can swim"), "A", "He cannot swim | He can not swim | he can't swim"),
    *rows(("He can't swim", "He can swim"), "B", "He can swim."),
    # decimals of fractions
    *rows(SHARES, "A", "0.333 | 0.33 | .333 | 33.3% | It is 0.333 | 33%"),
    *rows(SHARES, "B", "0.667 | 0.666 | 0.67 | 0.66 | 66.7%"),
    *rows(SHARES, "C", "0.25 | 25% | 0.250"),
    *rows(SHARES, "D", "0.83 | 0.833"),
    *rows(SHARES, "", """
    0.3 | 0.7 | 0.34 | 0.332 | -0.333 | 0.65 | 0.8 | 3.33 | 33.4% | not 0.333 | 0.333 or 0.667
    0
    """),
    *rows(("1/3", "0.33", "2/5"), "B", "0.33"),
    *rows(("0.333", "0.5"), "", "0.33"),  # decimals are met exactly
    *rows(("1/3", "0.333", "2/5"), "", "0.33"),  # digits of both
    *rows(("333/1000", "1/3", "2/5"), "", "0.33"),
    *rows(("0.35", "0.45"), "", "0.350001 | 0.4 | 0.449"),
    *rows(("√2", "√3", "π"), "A", "1.41 | 1.414"),
    *rows(("√2", "√3", "π"), "C", "3.14 | 3.1416"),
    *rows(("√2", "√3", "π"), "", "3 | 1.42 | 1.7 | 3.15") [:2],
    # what is rough or below zero is no option that stands in it
    *rows(("二十", "三十"), "", "二十来个 | 三十多 | 三十几个"),
    *rows(("30", "40"), "", "30-odd | 30 odd people | thirty-something | 30ish"),
    *rows(("thirty", "forty"), "", "thirty-something | thirty odd people"),
    *rows(("5", "-5"), "B", "5 below zero | five degrees below zero | minus five"),
    *rows(("5", "6"), "", "5 below zero | 5 degrees below freezing"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "letter", "answer"), TABLE, ids=str)
def test_by_hand(options: tuple[str, ...], letter: str, answer: str) -> None:
    assert named(answer, options) == letter


STATEMENTS = ("A. It is red.", "B. It is round.", "C. It is big.")


@pytest.mark.parametrize(
    ("question", "answer", "letter"),
    [
        ("Which statement is incorrect?", "B is incorrect.", "B"),
        ("Which statement is incorrect?", "The incorrect statement is B.", "B"),
        ("Which of these is not true?", "B is not true", "B"), ("Which one is wrong?", "B is the only wrong one", "B"),
        ("Which statement is false?", "The false one is B", "B"), ("下列说法错误的是？", "B是错误的", "B"),
        ("下列说法不正确的是", "B不正确", "B"),
        ("Which statement is incorrect?", "B", "B"), ("Which statement is incorrect?", "A is wrong, so A", "A"),
        ("Which statement is correct?", "B is incorrect.", ""),
        ("Which statement is correct?", "The incorrect statement is B.", ""),
        ("Which statement is incorrect?", "B isn't wrong", ""),
        ("Which statement is incorrect?", "B isn't correct", "B"),
        ("Which statement isn't true?", "B isn't true.", "B"), ("What is wrong with the car?", "B is wrong", ""),
        ("What is wrong with the car? Which part?", "B", "B"), ("Which is the color?", "B is wrong", ""),
        ("下列说法正确的是", "B是错误的", ""),
        ("Which statement is incorrect?", "not B", ""), ("Which statement is incorrect?", "A and B are incorrect", ""),
    ],
)  # fmt: skip
def test_a_question_for_what_is_wrong_is_answered_by_what_is_wrong(question: str, answer: str, letter: str) -> None:
    assert named(answer, STATEMENTS, question) == letter


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        ("yes", "I wouldn't say yes", False), ("yes", "I'm not sure it's yes", False), ("yes", "not yes", False),
        ("yes", "I would not say yes", False), ("yes", "It's not a yes", False), ("no", "I wouldn't say no", False),
        ("yes", "yes?", False), ("yes", "Is it yes?", False), ("yes", "maybe yes", False),
        ("no", "It is hardly a no", False),
        ("yes", "The answer is yes", True), ("yes", "I'd say yes", True), ("yes", "There is a dog, so yes.", True),
        ("no", "The answer is no.", True), ("no", "There are two cats. No.", True),
        ("no", "I think the answer is no", True),
        ("yes", "Is there a dog? Yes.", True), ("yes", "The answer is no", False),
        ("no", "There is one, so yes", False),
        ("是", "答案是是", True), ("yes", "It's a yes", True), ("no", "I'd say no, it isn't.", True),
    ],
)  # fmt: skip
def test_yes_and_no_in_free_form(gold: str, answer: str, right: bool) -> None:
    example = Example("u", "?", gold, "free-form")
    assert accuracy(example, f"<answer>{answer}</answer>") == float(right)


@pytest.mark.parametrize(
    ("answer", "question", "named"),
    [
        ("B is the only wrong one", "Which?", ""), ("the only incorrect option is B", "Which?", ""),
        ("B is wrong", "Which?", ""),
        ("I would not call it B", "Which?", ""), ("I wouldn't say B", "Which?", ""),
        ("I wouldn't say it's B", "Which?", ""),
        ("The wrong answer is B", "Which?", ""), ("I'm not sure it's B", "Which?", ""),
        ("B is clearly wrong", "Which?", ""),
        ("Neither A nor B; C.", "Which?", "C"), ("My first guess was C; on reflection it's B.", "Which?", "B"),
        ("A is the wrong one. It must be B.", "Which?", "B"), ("I wouldn't say A. B fits.", "Which?", "B"),
        ("The incorrect statement is B", "Which is incorrect?", "B"),
        ("B is the only wrong one", "Which one is wrong?", "B"),
        ("Looking at the picture in detail, I see that statement B is incorrect.", "Which one is incorrect?", "B"),
        ("Looking at the picture in detail, I see that statement B is incorrect.", "Which one is correct?", ""),
        ("I looked at all four. The incorrect statement is B.", "Which statement is incorrect?", "B"),
    ],
)  # fmt: skip
def test_benchmarks_read_them_alike(answer: str, question: str, named: str) -> None:
    assert letter_read(answer, COLORS, question) == named
