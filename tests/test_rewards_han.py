"""Chinese numerals, judged by hand: their values, and gold answers with answers that meet them or do not."""

from __future__ import annotations

from fractions import Fraction

import pytest

from ral.rewards.accuracy import accuracy
from ral.rewards.numbers import parse_number
from ral.types import Example

VALUES = """
三万五 35000 三万五千 35000 三万零五 30005 三万零五百 30500 两万五 25000 一万二 12000 十万三 103000 一亿三 130000000
一百二 120 一百二十 120 一百零二 102 一百二十五 125 三百五 350 两百五 250 九百九 990 一百一十 110 百二 120
三千六 3600 三千六百 3600 三千零六 3006 三千零六十 3060 两千五 2500 一千八 1800 五千五百五 5550
十五 15 二十五 25 二〇二三 2023 五百 500 3万5 35000 3万5千 35000 2千5 2500
一打 12 半打 6 两打 24 两打半 30 十打 120 一打鸡蛋 12 答案是两打 24 5打 60 3打铅笔 36 共三打 36 2打半 30
"""
PAIRS = [
    *[("35000", "三万五", 1), ("30005", "三万五", 0), ("12", "一打", 1), ("1", "一打", 0), ("6", "半打鸡蛋", 1)],
    *[("120", "一百二", 1), ("102", "一百二", 0), ("102", "一百零二", 1), ("3600", "大约三千六", 1), ("24", "2打", 1)],
    *[("3600", "三千六百", 1), ("3606", "三千六", 0), ("一百二", "120", 1), ("三万五", "35000", 1), ("两打", "24", 1)],
    *[("12", "一打开", 0), ("2", "两打", 0), ("18", "一打半", 1), ("250", "两百五", 1)],
]
WORDS = VALUES.split()


@pytest.mark.parametrize(("text", "value"), list(zip(WORDS[::2], WORDS[1::2], strict=True)))
def test_values_by_hand(text: str, value: str) -> None:
    number = parse_number(text)
    assert number is not None and number.value == Fraction(value)


@pytest.mark.parametrize(("gold", "answer", "score"), PAIRS)
def test_scores_by_hand(gold: str, answer: str, score: int) -> None:
    example = Example("u", "How many?", gold, "numerical")
    assert accuracy(example, f"<answer>{answer}</answer>") == score
