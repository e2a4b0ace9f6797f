"""Numbers said roughly, below zero, in dates and behind what they are the total of, judged by hand."""

from __future__ import annotations

import pytest

from ral.rewards.accuracy import accuracy, check_gold
from ral.types import Example, UserError


def phrases(block: str) -> list[str]:
    """The phrases of a block."""
    return [phrase.strip() for line in block.split("\n") for phrase in line.split("|") if phrase.strip()]


def score(gold: str, answer: str) -> float:
    """The accuracy of one answer to a question for a number."""
    return accuracy(Example("u", "?", gold, "numerical"), f"<answer>{answer}</answer>")


# each with the numbers that a careless reader takes it for
ROUGH = """
五六个 56 5 6 | 七八 78 7 8 | 三五个 35 3 5 | 十五六岁 156 15 16 | 两三个人 23 2 3 | 一两次 12 1 2 | 五六百 56 500 600
二三十 23 20 30 | 答案是七八个 78 7 8 | 百分之五六 56 5 6 | 一百五六 156 150 160 | 二十七八岁 278 27 28
八九十 89 80 90
二十来个 20 | 20来岁 20 | 十几个 10 15 | 三十几 30 | 三十好几 30 | 二十余人 20 | 100余人 100 | 30出头 30
三十岁出头 30
二十多 20 | 百八十个 180 | 三十数個 30 | 30여 명 30
thirty-something 30 | thirty something 30 | thirtyish 30 | thirty-ish 30 | 30-ish 30 | 30ish 30 | 30-odd 30
30 odd people 30
thirty-odd 30 | twenty-some 20 | 20-some 20 | 30-something 30 | mid-30s 30 | in his 30s 30 | the late 20s 20
in the 1990s 1990
30 and change 30 | thirty and a bit 30 | 30 y pico 30 | 30 et quelques 30 | 30 с лишним 30 | fivish 5 | five-ish 5
30+ 30 | 30 plus 30 | thirty plus 30 | 30-plus 30 | 30 and up 30 | 30 and counting 30 | upwards of 30 30
in excess of 30 30
30 at least 30 | thirty at most 30 | five tops 5 | 5 apples at most 5 | at least 5, I'd say 5 | a few dozen 12 36
several hundred 100
"""
NEAR = """
thirty 30 | 30 30 | about 30 30 | 30 or so 30 | thirty or so 30 | 约三十 30 | 三十左右 30 | 30s 30 | 五十六 56
一二三 123
二〇五六年 2056 | 三点五六 3.56 | 第五 5 | 百分之五十六 56% | 5 odd numbers 5 | 20 odd integers 20 | 三十个 30
10来自中国 10
一百零五 105 | 三十 30 | 20 some of them red 20 | five 5 | 5 in his hand 5 | the 30th 30 | 五个人来了 5
twenty odd numbers 20
"""


@pytest.mark.parametrize("line", phrases(ROUGH))
def test_what_is_said_roughly_is_no_number(line: str) -> None:
    words = line.split()
    at = next(n for n in range(1, len(words)) if all(w.isdecimal() for w in words[n:]))
    for gold in words[at:]:
        assert score(gold, " ".join(words[:at])) == 0.0


@pytest.mark.parametrize("line", phrases(NEAR))
def test_what_only_looks_rough_is_its_number(line: str) -> None:
    said, _, gold = line.rpartition(" ")
    assert score(gold, said) == 1.0


@pytest.mark.parametrize(
    "gold", ["五六个", "thirty-something", "30-odd", "十几个", "March 2015", "May 5", "2015年3月", "5 below freezing"]
)
def test_a_gold_answer_that_is_no_single_number_is_bad(gold: str) -> None:
    with pytest.raises(UserError, match="holds no single number"):
        check_gold(Example("u", "?", gold, "numerical"))


BELOW = """
5 below zero | minus five | five degrees below zero | 5 degrees below zero | 5° below zero | 5 degrees below
negative 5 | -5
It is 5 degrees below zero. | five below zero | 零下五度 | 零下5度 | 5 bajo cero | 5 Grad unter Null | 5 sotto zero
5 ниже нуля
moins 5 | menos 5 | 영하 5도 | 5 (below zero) | 5 under zero | 5 less than zero | minus 5 below zero | 5 °C below zero
"""
NOT_BELOW = """
5 above zero | five degrees above zero | 5 | five | 5 below the line | 5 of them below | plus five
"""


@pytest.mark.parametrize("said", phrases(BELOW))
def test_what_is_below_zero_is_negative(said: str) -> None:
    assert (score("-5", said), score("5", said)) == (1.0, 0.0)


@pytest.mark.parametrize("said", phrases(NOT_BELOW))
def test_what_is_not_below_zero_is_positive(said: str) -> None:
    assert (score("-5", said), score("5", said)) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        ("-25", "twenty-five degrees below zero", True), ("25", "twenty-five degrees below zero", False),
        ("-5 °C", "5 degrees Celsius below zero", True), ("-5.5", "5.5 below zero", True),
        ("5", "5 degrees below freezing", False), ("-5", "5 degrees below freezing", False),
        ("27", "5 degrees below freezing", False),
    ],
)  # fmt: skip
def test_other_numbers_below_zero(gold: str, answer: str, right: bool) -> None:
    assert score(gold, answer) == float(right)


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        # a year inside a month that contains it is meant, as is the day of a month; of a full date no number is
        ("2015", "March 2015", True), ("2015", "in March 2015", True), ("2015", "Mar. 2015", True),
        ("2015", "May, 2015", True), ("2015", "2015年3月", True), ("2015", "2015 年 3 月。", True),
        ("5", "March 5", True),
        ("5", "the 5th of March", True), ("2015", "spring 2015", True),
        ("2015", "March 2016", False), ("2015", "2016年3月", False), ("3", "2015年3月", False),
        ("3", "March 2015", False),
        ("2015", "March 5, 2015", False), ("2015", "2015-03-05", False), ("5", "2015年3月5日", False),
        ("5", "March 2015", False), ("5", "March 6", False),
        # what counts like a month is none
        ("5", "5 are in 12 marked boxes", False), ("5", "5 in 12 decks", False),
    ],
)  # fmt: skip
def test_a_part_of_a_date(gold: str, answer: str, right: bool) -> None:
    assert score(gold, answer) == float(right)


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        ("5", "2 red, 3 blue, 5 in total", True), ("5", "2 red, 3 blue, 5 total.", True),
        ("5", "2 red and 3 blue, 5 altogether", True), ("5", "2 red; 3 blue; that makes 5 in all", True),
        ("7", "4 cats, 3 dogs, 7 animals in total.", True), ("5", "2 red, 3 blue: 5 overall", True),
        ("5", "2 red, 3 blue and 5 in total", True), ("5", "5 in total, 2 red and 3 blue", True),
        ("6", "2 red, 3 blue, 6 in total", True),  # what is stated counts
        ("2", "2 red, 3 blue, 5 in total", False), ("3", "2 red, 3 blue, 5 in total", False),
        ("5", "2 red, 3 blue, 6 in total", False), ("5", "2 red, 3 blue", False),
        ("3", "2 red, 3 blue in total", False),
        ("5", "2 red, 3 blue, not 5 in total", False), ("5", "2 red, 3 blue, 5 or 6 in total", False),
        ("5", "2 red, 3 blue, 5 in total?", False), ("5", "5 in total, 2 red and 4 blue", False),
        ("235", "2 red, 3 blue, 5 in total", False), ("4", "2 or 3 red, 4 in total", True),
    ],
)  # fmt: skip
def test_a_total_behind_its_parts(gold: str, answer: str, right: bool) -> None:
    assert score(gold, answer) == float(right)


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        ("4", "I counted 5, but the correct number is 4", True),
        ("5", "At first I counted 6, but the right count is 5", True),
        ("5", "My first count was 6, but on reflection it's 5.", True), ("5", "I counted 6; the total is 5", True),
        ("5", "Initially I thought 6, but the actual total number is 5.", True), ("5", "Neither 4 nor 6; 5.", True),
        ("5", "My initial estimate was 6; the right value is 5", True), ("5", "既不是4也不是6，是5", True),
        ("5", "neither four nor six, but five", True), ("5", "6. On second thought, 5", True),
        ("5", "I counted 5, but the correct number is 4", False),
        ("6", "At first I counted 6, but the right count is 5", False),
        ("6", "My first count was 6, but on reflection it's 5.", False), ("4", "Neither 4 nor 6; 5.", False),
        ("6", "Neither 4 nor 6; 5.", False), ("4", "既不是4也不是6，是5", False),
        ("6", "6. On second thought, 5", False),
        ("5", "Neither 4 nor 5", False), ("4", "neither 4 nor 5 is right", False),
        ("5", "5. On second thought, I'm not sure.", False),
        ("5", "I counted 5, but the correct number is not 5", False), ("5", "It looks like 5, but it is blurry", True),
        ("2", "At first 3, then 2", False), ("3", "At first 3, then 2", False),
        ("6", "It looks like 5, but it is 6", True),
    ],
)  # fmt: skip
def test_numbers_that_are_corrected(gold: str, answer: str, right: bool) -> None:
    assert score(gold, answer) == float(right)
