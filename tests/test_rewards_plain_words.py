"""Answers in plain words that people and models write, judged by hand: right ones earn 1, their neighbours 0."""

from __future__ import annotations

import pytest

from ral.rewards.accuracy import accuracy
from ral.rewards.equations import evaluate
from ral.types import Example

YES_NO = ("A. Yes", "B. No")
TRUE_FALSE = ("A. True", "B. False")
# answers of which yes, no, and neither is the verdict
YES = """
Yes, there are no cars.|Yes. There are no cars in the picture.|Yes, because there are no cars in the picture.
Yes because there are no cars.|Yes, no cars are visible.|Yes, but it is small.|Yes, it actually is a dog.
Yes, there is no doubt.|Yes, there is no one but him.|No, wait, yes.|No. Actually, yes, there is one.
Yes, they wait at the stop.|Yes, it is not red.|Yes, since nobody is there, no shop is open.
"""
NO = """
No, there is a dog but it is not brown.|No, but there is a cat.|No, although it looks like one.
No, the sign does not say "yes".
Yes, no, wait, no|Yes. Actually no.|Yes, wait, no.|Yes, it is. Actually, no, there is none.
No, because there is a dog.|No since it is red.|No. There are two dogs, though they are far away.
"""
NEITHER = """
Yes, but no.|Yes, but not really.|Yes, no.|Yes, it looks red but it is not.|Yes, but maybe not|Yes, so the answer is no.
No, but yes.|No, but it is.|Yes, wait.|Yes. Wait, there are none.|Yes, but it isn't.|Yes, however no.|Yes, it isn't
Yes, I am not sure|Yes and no cars|yes or no cars|No, it is.|Perhaps yes|Yes? No cars.
"""
TRUE = """
The statement is true.|It is not false.|The statement isn't false.|Not false|It's correct, because it is red.|True.
That is not wrong.|This claim is accurate.
"""
FALSE = """
The statement is not true.|Not true|The statement is not correct.|It isn't true.|It's not right|False, since it is red.
The statement is clearly not true, because there are two.|This is untrue.|The statement is wrong.
"""
UNTOLD = """
The statement is not true or false.|I am not sure it is true.|Not entirely true|It is true, but it is not.
It is neither true nor false|The statement is not|Not true? It may be.
"""


def said(block: str) -> list[str]:
    """The answers of a block."""
    return [answer for line in block.split("\n") for answer in line.split("|") if answer]


def score(gold: str, answer: str, kind: str = "numerical", options: tuple[str, ...] = ()) -> float:
    """The accuracy of one answer."""
    return accuracy(Example("u", "?", gold, kind, options=options), f"<answer>{answer}</answer>")


def chosen(answer: str, golds: tuple[str, ...], kind: str, options: tuple[str, ...] = ()) -> list[float]:
    """The accuracy of one answer to each of several gold answers."""
    return [score(gold, answer, kind, options) for gold in golds]


CASES = (
    [(a, [1.0, 0.0]) for a in said(YES)] + [(a, [0.0, 1.0]) for a in said(NO)] + [(a, [0.0] * 2) for a in said(NEITHER)]
)


@pytest.mark.parametrize(("answer", "scores"), CASES)
def test_the_verdict_that_stands_first_counts_until_it_is_changed(answer: str, scores: list[float]) -> None:
    assert chosen(answer, ("A", "B"), "multiple choice", YES_NO) == scores
    if answer not in ("Perhaps yes",):  # no verdict stands first: compared as text
        assert chosen(answer, ("Yes", "No"), "free-form") == scores


TRUTHS = [(a, [1.0, 0.0]) for a in said(TRUE)] + [(a, [0.0, 1.0]) for a in said(FALSE)]


@pytest.mark.parametrize(("answer", "scores"), TRUTHS)
def test_not_true_is_false(answer: str, scores: list[float]) -> None:
    assert chosen(answer, ("A", "B"), "multiple choice", TRUE_FALSE) == scores
    assert chosen(answer, ("True", "False"), "free-form") == scores


@pytest.mark.parametrize("answer", said(UNTOLD))
def test_what_says_no_truth_value_chooses_none(answer: str) -> None:
    assert chosen(answer, ("A", "B"), "multiple choice", TRUE_FALSE) == [0.0, 0.0]


# gold ; answer
CHAINS = r"""
2\sqrt{3} ; $2\sqrt{3} \approx 3.46$
3.46 ; $2\sqrt{3} \approx 3.46$
3.46 ; 2√3 ≈ 3.46
2√3 ; 2√3 ≈ 3.46
2\sqrt{3} ; 2\sqrt{3} = 3.46
1/3 ; \frac{1}{3} \approx 0.33
1/3 ; $\frac{1}{3} \approx 0.33$
3.14 ; \pi \approx 3.14
\pi ; \pi \approx 3.14
7 ; \sqrt{49} = 7
25 ; \text{Area} = 5 \times 5 = 25
25 ; Area = 5 × 5 = 25
25 ; $\text{Area} = 5 \times 5 = 25$
25 ; A = 5^2 = 25
12 ; P = 2(4 + 2) = 12
12 ; P = 2(l + w) = 2(4 + 2) = 12
25 ; The area is 5 × 5 = 25.
25 ; A = 5 × 5 = 25 cm^2
25 ; Area = 5 × 5 = \boxed{25}
25 ; 25 = 5 × 5
7 ; 7 = 3+4
78.54 ; A = \pi \times 5^2 \approx 78.54
3 ; 10 / 3 ≈ 3
50% ; 1/2 = 50%
0.5 ; 1/2 = 0.5
5 ; x = 5
8 ; 5 red + 3 blue = 8
8 ; 5 + 3 = 8 balls
6 ; x = 2 * 3 = 6
0.67 ; 2/3 = 0.67
0.66 ; 2/3 = 0.66
5 ; \frac{10}{2} = 5
5 ; (2 + 3) = 5
12 ; 3 x 4 = 12
1500 ; 1,000 + 500 = 1,500
3.46 ; = 3.46
3.5 ; 2√3 ≈ 3.5
14 ; x + 4 = 10 + 4 = 14
5 ; f(2) = 2^2 + 1 = 5
\sqrt{3}/2 ; \frac{\sqrt{3}}{2} \approx 0.866
-3 ; 2 - 5 = -3
3 ; 3.0 = 3
10 ; 5 × 2 = 10, not 12
10 ; 10 = 5 × 2 = 10
16 ; 4^2 = 16
30 ; \angle A = 180 - 150 = 30^\circ
30 ; \angle A = 180° - 150° = 30°
30 ; 180° - 150° = 30°
10\sqrt{2} ; 10\sqrt{2} cm ≈ 14.14 cm
20 ; \text{Area} = \frac{1}{2} \times 8 \times 5 = 20
20 ; Area = 1/2 × 8 × 5 = 20 square units
20 ; Area = (1/2)(8)(5) = 20
20 ; The area is \frac{1}{2} \cdot 8 \cdot 5 = 20 \text{ cm}^2
6 ; |AB| = 6
5 ; c = \sqrt{3^2 + 4^2} = 5
5 ; c = \sqrt{3^2 + 4^2} = \sqrt{25} = 5
2 ; One red + one blue = 2
50 ; 100 × 50% = 50
"""
OTHER_CHAINS = r"""
2\sqrt{3} ; 2\sqrt{3} \approx 3.64
3.64 ; 2\sqrt{3} \approx 3.64
3.46 ; 2√3 = 3.64
1/3 ; \frac{1}{3} \approx 0.34
0.34 ; \frac{1}{3} \approx 0.34
3.15 ; \pi \approx 3.15
8 ; \sqrt{49} = 8
7 ; \sqrt{49} = 8
24 ; 5 × 5 = 24
25 ; 5 × 5 = 24
24 ; Area = 5 × 5 = 24
24 ; The area is 5 × 5 = 24.
5 ; A = 5^2 = 25
24 ; 24 = 5 × 5
9 ; 5 + 3 = 9 balls
6 ; x = 2 * 4 = 6
13 ; 3 x 4 = 13
2 ; 4 = 2 + 2 = 2
10 ; 2 + 3 = 5 × 2 = 10
6 ; f(2) = 2^2 + 1 = 6
0.886 ; \frac{\sqrt{3}}{2} \approx 0.886
4 ; 10/3 ≈ 4
3 ; 10/3 = 3
3 ; 2 - 5 = 3
36 ; 6 × 6 ≠ 36
3 ; x = 3, or x = 4
5 ; 2x = 10 = 5
8 ; 4^2 = 8
31 ; 180° - 150° = 31°
6 ; c = \sqrt{3^2 + 4^2} = 6
0.5 ; \sin 30 = 0.5
7 ; 1 + 1 = 3, so 7
"""


def pairs(block: str) -> list[tuple[str, str]]:
    """(gold, answer) of each line of a block."""
    return [(gold, answer) for line in block.strip().split("\n") for gold, answer in [line.split(" ; ", 1)]]


@pytest.mark.parametrize(("gold", "answer"), pairs(CHAINS))
def test_a_chain_whose_sides_agree_is_its_value(gold: str, answer: str) -> None:
    assert score(gold, answer) == 1.0


@pytest.mark.parametrize(("gold", "answer"), pairs(OTHER_CHAINS))
def test_a_chain_that_contradicts_itself_or_has_another_value_earns_0(gold: str, answer: str) -> None:
    assert score(gold, answer) == 0.0


@pytest.mark.parametrize(
    "side", ["9^9999999", "9^9^9", "5/0", "sqrt(-4)", "√-4", "2 1/2", "a + 3", "()", "1 if 1 else 2"]
)
def test_what_is_not_computed_has_no_value(side: str) -> None:
    assert evaluate(side) is None


NUMBERS = ("12", "15", "18", "20")
COLOURS = ("A. red", "B. blue", "C. green")
CARS = ("A. car", "B. dog", "C. the red car, not the blue one")
FRACTIONS = ("A. 1/3", "B. 2/3", "C. 1/2")
LENGTHS = ("A. 5 cm", "B. 5 m", "C. 500 m")
# (options, letter, answers); "-": none
SAID = [
    (NUMBERS, "-", "C. 180 ; C. 19 ; (C) 180 ; C) 19. ; C: 180 ; C. nineteen ; C. 19 cm ; C. 12"),
    (NUMBERS, "-", "C 180 ; C - 19"),
    (NUMBERS, "C", "C. 18 ; C. eighteen ; C. 18.0 ; C. 18 cm ; C. purple ; C. 6 rows of 3"),
    (NUMBERS, "C", "C. 12 + 6 = 18 ; C ; C. 18 (not 12) ; C. There are 2 rows"),
    (FRACTIONS, "A", "A. 0.33 ; A. 33.3%"),
    (FRACTIONS, "-", "A. 0.5 ; B. 0.34"),
    (LENGTHS, "B", "B. 5 m ; B. 5"),
    (LENGTHS, "-", "B. 7 m"),
    (COLOURS, "B", "B. 3 ; The correct answer is **B) blue**, not A) red."),
    (COLOURS, "B", "Between A and B, B is the better choice. ; blue rather than red"),
    (COLOURS, "B", "It is blue and not red ; B) blue, not A) red ; Blue, not red."),
    (COLOURS, "A", "red, not blue ; The car is red, not blue. ; The car is not blue but red."),
    (COLOURS, "A", "The car isn't blue but red. ; Between red and blue, red fits better."),
    (COLOURS, "A", "The answer is A, not B."),
    (COLOURS, "-", "Between A and B, C is the better choice. ; Between A and B, neither."),
    (COLOURS, "-", "not red, not blue ; The car is not red, not blue."),
    (COLOURS, "-", "The car is not only blue but red. ; The car is not blue but also red"),
    (COLOURS, "-", "The car is red, not red. ; The car is red or green, not blue. ; B is not red"),
    (COLOURS, "-", "not A, B ; The car is not blue but dark. ; The car is not red"),
    (COLOURS, "-", "I am not sure it is red, not blue ; Between A and B, it is not A."),
    (COLOURS, "-", "red, not blue? No ; The car might be red, not blue."),
    (CARS, "C", "the red car, not the blue one"),
    (("A. red, not blue", "B. blue", "C. red"), "A", "red, not blue"),
]
CHOICES = [(options, letter, answer) for options, letter, answers in SAID for answer in answers.split(" ; ")]


@pytest.mark.parametrize(("options", "letter", "answer"), CHOICES)
def test_one_option_in_place_of_another_and_numbers_behind_letters(
    options: tuple[str, ...], letter: str, answer: str
) -> None:
    letters = "ABCD"[: len(options)]
    scores = chosen(answer, tuple(letters), "multiple choice", options)
    assert "".join(own for own, score in zip(letters, scores, strict=True) if score) == letter.strip("-")


COUNTS = """
3 ; There are three dogs and no cats.
3 ; There are 3 dogs and no cats.
3 ; 3 dogs, no cats.
3 ; There are three dogs, but no cats.
2 ; Two (one on the left and one on the right)
2 ; Two: one on the left and one on the right.
2 ; There are 2 cats, 1 black and 1 white.
2 ; There are two cats, one black and one white.
3 ; Three people, two sitting and one standing.
3 ; There are 3 people, 2 of them sitting and 1 standing.
5 ; There are 5 people, including 2 children.
5 ; There are five people, including two children.
5 ; 5 people, 2 of whom are sitting.
5 ; 5 people, two of them are sitting.
4 ; 4 of the 6 people are sitting.
4 ; Four of the six people are sitting.
2/5 ; 2 out of 5
4 ; Four of the people
4 ; Four of the people are sitting.
4 ; 4 of the people are sitting.
4 ; The answer is 4, since 2 of the 6 are hidden.
4 ; The answer is 4 because 2 of the 6 are hidden.
4 ; The total is 4, because there are 3 cars and 1 bus.
1 ; Only one person is visible in the second frame.
1 ; There is only 1 person in the 2nd frame.
3 ; There are three cars in the first picture.
1 ; One of the two dogs is brown.
1 ; Only one of the dogs is brown.
2 ; There are 2 cats, 1 in the box and 1 on the mat.
"""
OTHER_COUNTS = """
3 ; three dogs and no more than five cats
3 ; There are three dogs and no one knows
0 ; There are three dogs and no cats.
2 ; Two (one on the left and two on the right)
3 ; Two (one on the left and two on the right)
1 ; There are 2 cats, 1 black and 1 white.
4 ; There are 2 cats, 1 dog and 1 bird.
2 ; There are 2 cats, 1 dog and 1 bird.
3 ; There are 3 cats, 1 black and 1 white.
2 ; There are 5 people, including 2 children.
5 ; There are 5 people, including 7 children.
5 ; There are 5 people, not including 2 children.
6 ; 4 of the 6 people are sitting.
7 ; 7 of the 6 people are sitting.
4 ; 4 of the 6
4 ; 4 of the 6 people
2 ; 2 out of 5
2 ; 2 out of the 5
2 ; 2 in 5
1 ; It is one of the cars.
1 ; One of the reasons is the rain.
2 ; The answer is 4, since 2 of the 6 are hidden.
4 ; The answer is not 4, since 2 of the 6 are hidden.
4 ; The answer is 4 or 5, since 2 are hidden.
4 ; The answer is 4, since 2 are hidden, so 5
4 ; The answer is 4, since 2 of the 6 hide but I count 5.
4 ; The answer is 4, since 2 of 6 hide. The answer is 5.
4 ; The answer is 4, since 3 + 2 = 5, so the total is 5.
2 ; Only one person is visible in the second frame.
2 ; There is only 1 person in the 2nd frame.
3 ; three cars in the first picture and two in the second
2 ; The second frame
2 ; It is in the second frame.
1 ; In the first frame
3 ; three cars in the first third
4 ; At least 4 of the 6 people are sitting.
1/2 ; half of the 6 people
3 ; half of the 6 people
6 ; none of the 6 people
4 ; not 4 of the 6 people
5 ; 4 of the 6 people and 1 of the 2 dogs
4 ; 4 of the 6 people and 1 of the 2 dogs
12 ; a third of the 36 balls
1 ; It is one of the two dogs.
5 ; Two of the three, plus 3 more
"""


@pytest.mark.parametrize(("gold", "answer"), pairs(COUNTS))
def test_a_count_that_is_explained_or_part_of_a_whole_counts(gold: str, answer: str) -> None:
    assert score(gold, answer) == 1.0


@pytest.mark.parametrize(("gold", "answer"), pairs(OTHER_COUNTS))
def test_other_numbers_of_such_a_sentence_earn_0(gold: str, answer: str) -> None:
    assert score(gold, answer) == 0.0
