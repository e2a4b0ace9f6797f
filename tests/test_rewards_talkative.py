"""Answers as a hostile or talkative user writes them, judged by hand before the rules were run on them."""

from __future__ import annotations

from typing import Any

import pytest

from ral.rewards.accuracy import accuracy
from ral.types import Example

COLORS = ("A. red", "B. blue", "C. green", "D. black")
THINGS = ("A. red", "B. bicycle", "C. car", "D. dog")
RIDES = ("A. plane", "B. bike", "C. truck", "D. cow")

# (gold, answers, what each earns)
NUMBERS = [
    ("30", 1, "三十上下"),
    ("100", 1, "a hundred or so | 一百"),
    ("-7", 1, "7 units below zero | -7 degrees | The temperature is 7 degrees below zero."),
    ("-12", 1, "twelve below zero | minus twelve degrees"),
    ("-3", 1, "three below zero | 3 degrees under zero Celsius"),
    ("6", 1,
        "I first counted 7 but looking again there are 6 | "
        "My count was 7 at first, but the actual count is 6. | "
        "I thought there were 7, but there are only 6 | Not 7; the correct count is 6. | half a dozen | "
        "one red, five blue, six in all"),
    ("9", 1,
        "4 cats + 5 dogs = 9 in total | 4 cats, 5 dogs. Total: 9 | 4 cats, 5 dogs, so nine in total | "
        "September 9th | 2+3+4, 9 altogether"),
    ("10", 1, "3 red, 3 blue, 4 green, 10 in all"),
    ("1999", 1, "It was in June 1999. | early 1999"),
    ("21", 1, "June 21"),
    ("16", 1, "十六个"),
    ("56", 1, "五十六个"),
    ("78", 1, "七十八"),
    ("2", 1, "两个 | 二楼 | I see one or two, so two"),
    ("40", 1, "40-or-so | around forty"),
    ("41", 1, "forty-one"),
    ("-10", 1, "ten degrees below zero | 10 degrees C below zero"),
    ("-2", 1, "two below zero"),
    ("-40", 1, "forty degrees below 0"),
    ("15", 1, "15 degrees above zero | 第十五"),
    ("8", 1,
        "I said 7 at first. The right answer is 8. | My first estimate: 7. The correct total is 8. | "
        "Looks like 7, but it's really 8. | Neither 7 nor 9 but 8 | It could be 7 or 9 but it's 8 | "
        "There were 3 cats at first, but it is 8 now"),
    ("7", 1,
        "3 men, 4 women, 7 people in total | 3 men and 4 women: 7 people altogether. | "
        "A total of 7: 3 men and 4 women | In total there are 7 people (3 men, 4 women) | 7 odd socks"),
    ("2020", 1, "December 2020 | March to May 2020"),
    ("4", 1, "July 4th | not 3 nor 5, 4"),
    ("5", 1,
        "5 selfish people | 5 fish | 5 (above zero) | I first saw 3, then 2 more, so 5 | "
        "The first count is 5 | My guess is 5 | My guess was 5 | It seems to be 5 | It looks like 5. | "
        "Initially there were 8, but 3 left, so 5 | Initially there were 8, but now there are 5 | "
        "2 red, 3 blue, total 5 | in May, 5 | on May 3, 5 | 5 on 3 May | exactly 5, no more"),
    ("3", 1, "3 Irish men"),
    ("20", 1, "20 plush toys"),
    ("12", 1, "12 months or so | 十二"),
    ("35", 1, "三十五"),
    ("0", 1, "zero"),
    ("-1", 1, "one degree below zero"),
    ("-1.5", 1, "1.5 degrees below zero"),
    ("-100", 1, "a hundred below zero"),
    ("2015", 1, "by May 2015"),
    ("24", 1, "24 or so people | 24 people or so"),
    ("23", 0, "两三只狗"),
    ("34", 0, "三四十 | 三四十个"),
    ("4", 0,
        "四五点左右 | I counted 5, but the correct number is 4 or 6 | 3 red, 3 blue, 4 green | "
        "3 men, 4 women in all | 2 cats and 4 overall winners"),
    ("45", 0, "四五点左右 | 四五十"),
    ("50", 0, "fifty-odd people | 50-some"),
    ("40", 0,
        "forty something years old | 四十来岁 | forty-something | 40ish years | forty-odd people | "
        "about 40 or 50 | the forties | forty degrees below 0"),
    ("100", 0, "a hundred odd | over one hundred | 100 and over"),
    ("12", 0, "a dozen-ish | 12°C below zero | 十二三个 | December 2020"),
    ("20", 0, "between 20 and 30 | 20~30 | 20-30 | a score or so"),
    ("60", 0, "sixty-plus | sixties | in her sixties"),
    ("7", 0,
        "7 units below zero | My count was 7 at first, but the actual count is 6. | "
        "The temperature is 7 degrees below zero. | My first estimate: 7. The correct total is 8. | "
        "3 men, 4 women"),
    ("3", 0,
        "three below zero | 三五 | I first saw 3, then 2 more, so 5 | not 3 nor 5, 4 | "
        "2 red, 3 blue, total"),
    ("8", 0,
        "8 below zero? | I would not say 8 | 8 is the wrong count | 8 is the only wrong number | "
        "8 would be wrong | Initially there were 8, but now there are 5"),
    ("5", 0,
        "4 cats, 5 dogs. Total: 9 | one red, five blue, six in all | May 5 or May 6 | "
        "5 decks in 12 marinas | 5 minus 8 below zero | about 5, at least"),
    ("1999", 0, "between March 1999 and June 2000"),
    ("1990", 0, "the early 1990s"),
    ("67", 0, "六七棵树"),
    ("6", 0, "六七棵树"),
    ("13", 0, "十二三个"),
    ("89", 0, "八九成"),
    ("2000", 0, "两千多 | 两三千"),
    ("1000", 0, "上千"),
    ("10", 0, "十来个人 | 十几二十个 | ten degrees below zero"),
    ("1980", 0, "the '80s"),
    ("80", 0, "80-plus | 80 or more"),
    ("25", 0, "twenty-five plus"),
    ("24", 0, "a couple dozen"),
    ("2020", 0, "Dec 2021 | 04/07/2020"),
    ("0", 0, "below zero"),
    ("2", 0, "so one or two"),
]  # fmt: skip
YES_AND_NO = [
    ("yes", 0,
        "I wouldn't bet on yes | I doubt that the answer is yes | can't say yes | yes is wrong | "
        "I wouldn't answer yes | I am not sure, yes? | the answer isn't yes | It cannot be yes | "
        "yes but I'm not sure"),
    ("no", 0, "I'm not certain it's a no | Definitely not a no | I'd hesitate to say no | It can't be no"),
    ("yes", 1,
        "I'd go with yes | Definitely yes. | The answer should be: Yes | My answer: yes | "
        "It is likely yes | The correct answer is yes. | yes, I would not say no | I call it a yes"),
    ("no", 1,
        "Absolutely no. | The man isn't there, so no. | nope | So the answer is no | "
        "No, I wouldn't say yes"),
]  # fmt: skip

# (options, the letter that is named, answers)
OPTIONS = [
    (COLORS, "",
        "B is the one that is wrong | B is the option that is incorrect | Everything is right except B | "
        "I'd rule out B | B can be eliminated | B must be false | I would never pick B | "
        "I can't say it's B | I'd not go with B | B is the false option | B was the incorrect choice | "
        "The one wrong answer is B | The option that is wrong is B | The wrong answer would be B | "
        "B seems to be the wrong one | B, the wrong one | I wouldn't choose B | I would hardly call it B | "
        "I'm not convinced it is B | I don't believe the answer is B | The wrong color is not B | "
        "It seems to be B, but it is hard to tell | It could be B | Torn between A and B | "
        "torn between A and B, it's C or D | Neither A nor B | don't call it B | Only A is wrong | "
        "B while C is right | B; the rest are correct | all others are wrong"),
    (COLORS, "D",
        "It's certainly not B, it's D | Neither B nor C nor A. It's D. | "
        "Initially B, but after checking, D | I was going to say B, but D | "
        "B at first sight, but actually D | 既非A也非B，而是D"),
    (COLORS, "C",
        "neither (A) nor (B), so (C) | 不是A，也不是B，应该是C | 我原来以为是A，其实是C | "
        "My first guess was C; on reflection it's still C. | It could be B but it's C"),
    (COLORS, "B",
        "I was torn between A and B, but I'd go with B | 一开始我选了A，后来改成B | The right one is B | "
        "B is the one and only correct option | B, obviously not the wrong one | "
        "B. The other options are wrong. | B because the other three are wrong | Not A nor C; it's B | "
        "Neither A, C nor D; B. | Neither A nor C are right, so it must be B. | Neither. It's B | "
        "既不是A也不是C。答案是B | A、C、D都不对，所以选B | My instinct said A, but it's B | "
        "My initial guess was C. Upon reflection, it's B. | I guessed C at first; now I think B | "
        "First I thought C, then B | I initially considered C, but on second thought the answer is B | "
        "B is not the wrong one | I was wrong, it is B | B is right; C would be wrong | It seems to be B | "
        "It looks like B. | My guess is B | My guess was B. | My first guess is B | "
        "My first guess would be B | Initially, B | At first glance, it's B | It's B, neither A nor C | "
        "B, as neither A nor C fits | B (neither A nor C) | call it B | Call it B | let's call it B | "
        "still B | It is still B | only B | B but C is wrong"),
    (("红色", "蓝色", "绿色"), "C", "既不是红色也不是蓝色，是绿色"),
    (THINGS, "D", "A dog | A dog."),
    (THINGS, "B", "A bicycle"),
    (THINGS, "", "A: dog | A black dog"),
    (THINGS, "A", "A"),
    (("Ford", "Tesla", "Audi"), "B", "a Tesla Model 3"),
    (("Ford", "Tesla", "Audi"), "C", "It looks like an Audi A4."),
    (("Ford", "Tesla", "Audi"), "", "a Ford F-150 and a Tesla Model 3"),
    (("The man is not running", "The man is running"), "A", "The man isn't running."),
    (("The man is not running", "The man is running"), "B", "The man is running"),
    (("has not changed", "has changed"), "A", "It hasn't changed | hasn't changed"),
    (("will fall", "will not fall"), "B", "It won't fall."),
    (("can fly", "cannot fly"), "B", "It can't fly"),
    (("can fly", "cannot fly"), "A", "It can fly"),
    (("1/7", "2/7", "3/7"), "A", "0.143 | 0.1429"),
    (("1/7", "2/7", "3/7"), "B", "0.286 | 0.28"),
    (("1/7", "2/7", "3/7"), "", "0.3 | 0.15"),
    (("1/6", "1/7"), "A", "16.7% | about 0.17"),
    (("1/3", "0.34"), "A", "0.33"),
    (("\\frac{1}{3}", "\\frac{2}{3}"), "A", "0.333..."),
    (("1/3 cup", "1/2 cup"), "A", "0.33 cup"),
    (RIDES, "C", "A truck"),
    (RIDES, "D", "A cow"),
    (RIDES, "", "A bike is what it is | (A) truck | A truck or a bike | An airplane"),
    (RIDES, "A", "A plane"),
    (("Boeing", "Airbus"), "A", "a Boeing 747"),
    (("Boeing", "Airbus"), "B", "an Airbus A320"),
    (("Samsung", "Apple", "Nokia"), "A", "a Samsung Galaxy"),
    (("Samsung", "Apple", "Nokia"), "C", "a Nokia phone"),
    (("Honda", "Ford"), "", "not a Honda Civic | a Honda Civic or a Ford Focus"),
    (("is moving", "is not moving"), "B", "It isn't moving | isn't moving."),
    (("is moving", "is not moving"), "A", "It's moving"),
    (("do not touch", "touch"), "A", "They don't touch."),
    (("They are equal", "They aren't equal"), "B", "They are not equal"),
    (("They are equal", "They aren't equal"), "A", "They're equal"),
    (("does not change", "changes"), "", "It doesn't seem right"),
    (("should not go", "should go"), "A", "shouldn't go"),
    (("5/6", "1/6"), "A", "0.833 | 83.3%"),
    (("5/6", "1/6"), "B", "0.1667"),
    (("5/6", "1/6"), "", "0.84"),
    (("1/9", "2/9"), "A", "0.11 | 0.111"),
    (("1/9", "2/9"), "", "0.2"),
    (("1 1/3", "1 2/3"), "A", "1.33"),
    (("1 1/3", "1 2/3"), "B", "1.67"),
    (("-1/3", "1/3"), "A", "-0.333"),
    (("-1/3", "1/3"), "B", "0.333"),
    (("1/3", "1/300"), "B", "0.00333"),
    (COLORS, "A", "neither B nor C, A"),
    (("a car", "a bus", "A"), "A", "A car"),
    (("apple", "car"), "A", "A apple"),
    (("x", "y", "mouse"), "C", "A mouse"),
    (("x", "y", "glasses"), "", "A glasses"),
    (("red", "blue", "orange"), "", "A orange"),
    (("Red", "Blue", "Bus"), "", "A Bus"),
    (("Red", "Blue", "Bus"), "C", "A bus"),
    (("x", "Tesla"), "", "A Tesla coil"),
    (("x", "Tesla"), "B", "a Tesla"),
    (("nike shoes", "nike"), "B", "a Nike Air Max"),
    (("can", "can't"), "B", "can't"),
    (("won", "will not"), "B", "won't"),
    (("The dog's bone", "The dog is bone"), "A", "The dog's bone"),
    (("It's", "Its"), "A", "It's"),
    (("does not increase", "increases"), "A", "It doesn't increase, it decreases"),
    (("does not increase", "increases"), "", "It doesn't not increase | does it increase?"),
    (("1/3", "3/10"), "B", "0.3"),
    (("1/3", "3/10"), "A", "0.33"),
    (("2/3", "0.67"), "B", "0.67"),
    (("1/3", "1/2"), "B", "0.50"),
    (("1/3", "1/2"), "", "0.499"),
    (("1/3 m", "1/2 m"), "", "0.33 kg"),
    (("1/3", "2/3"), "", "0.33 or more | 0.3334"),
    (("1/3", "2/3"), "A", "0.3333333"),
    (("1/3", "0.3"), "A", "0.33"),
    (("3", "1/3"), "A", "3.0"),
    (("33", "1/3"), "A", "33"),
    (("3.14", "22/7"), "A", "3.14"),
    (("22/7", "3.2"), "A", "3.14"),
]  # fmt: skip


def flat(table: list[tuple[Any, Any, str]]) -> list[tuple[Any, Any, str]]:
    """One row for each answer."""
    return [(first, second, answer) for first, second, answers in table for answer in answers.split(" | ")]


def score(kind: str, gold: str, answer: str, options: tuple[str, ...] = ()) -> float:
    """The accuracy of one answer."""
    return accuracy(Example("u", "?", gold, kind, options=options), f"<think>so</think><answer>{answer}</answer>")


@pytest.mark.parametrize(("gold", "earned", "answer"), flat(NUMBERS))
def test_numbers(gold: str, earned: int, answer: str) -> None:
    assert score("numerical", gold, answer) == earned


@pytest.mark.parametrize(("gold", "earned", "answer"), flat(YES_AND_NO))
def test_yes_and_no(gold: str, earned: int, answer: str) -> None:
    assert score("free-form", gold, answer) == earned


@pytest.mark.parametrize(("options", "letter", "answer"), flat(OPTIONS), ids=str)
def test_options(options: tuple[str, ...], letter: str, answer: str) -> None:
    letters = "ABCD"[: len(options)]
    assert [gold for gold in letters if score("multiple choice", gold, answer, options)] == list(letter)
