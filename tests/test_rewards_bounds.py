"""Numbers with halves, bounds and multiples, judged by hand before the rules were run on them."""

from __future__ import annotations

import pytest

from ral.rewards.accuracy import accuracy, check_gold
from ral.types import Example, UserError


def phrases(block: str) -> list[str]:
    """The phrases of a block."""
    return [phrase for line in block.split("\n") for phrase in line.split("|") if phrase]


def score(gold: str, answer: str) -> float:
    """The accuracy of one answer to a question for a number."""
    return accuracy(Example("u", "?", gold, "numerical"), f"<answer>{answer}</answer>")


HALVES = """
5 and a half|5 y medio|5个半|5 and one half|5-and-a-half|It is 5 and a half|5 e meio|5 et demi|5 с половиной|五个半
5 1/2|five and a half|5个半苹果|5 and a half apples
"""


@pytest.mark.parametrize("said", phrases(HALVES))
def test_a_half_behind_a_number_counts(said: str) -> None:
    assert score("5.5", said) == score(said, "5.5") == 1.0
    assert score("5", said) == score(said, "5") == 0.0


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("5.25", "5 and a quarter"),
        ("5 and a quarter", "5.25"),
        ("5.75", "5 and three quarters"),
        ("5500000", "5 and a half million"),
        ("5.5 hours", "5 hours and a half"),
        ("330 min", "5 and a half hours"),
        ("5.5 years", "5年半"),
        ("150 min", "2个半小时"),
        ("2.5 h", "两个半小时"),
        ("1000.5", "1,000 and a half"),
        ("1/2", "一半"),
    ],
)
def test_other_parts_behind_a_number_count(gold: str, answer: str) -> None:
    assert score(gold, answer) == 1.0


SCALED = {
    "2500000": "two and a half million|two-and-a-half million|two and one half million|two and half million"
    "|two million and a half|There are two and a half million people.|2 and a half million|two point five million",
    "1500000": "one and a half million|a million and a half|one million and a half|1 million and a half",
    "2250000": "two and a quarter million|two million and a quarter",
    "3750000": "three and three quarters million|three million and three quarters",
    "22500000": "twenty-two and a half million",
    "150000": "one and a half lakh|a lakh and a half|one and a half lakhs",
    "1500000000": "a billion and a half|one and a half thousand million",
    "500000": "half a million",
    "250000": "a quarter of a million|two and a half hundred thousand",
    "50000": "half a hundred thousand",
    "2500": "two and a half thousand",
    "150": "one and a half hundred",
    "200.5": "two hundred and a half",
    "100.75": "one hundred and three quarters",
    "50": "half a hundred",
    "30": "two and a half dozen|two dozen and a half",
    "18": "one and a half dozen|a dozen and a half",
    "2.5": "two and a half",
}


@pytest.mark.parametrize(("value", "said"), [(n, said) for n, block in SCALED.items() for said in phrases(block)])
def test_a_scale_multiplies_a_number_with_its_half(value: str, said: str) -> None:
    assert score(value, said) == score(said, value) == score(said, said) == 1.0


@pytest.mark.parametrize(
    "said", ["two and half a million", "two and a half of a million", "a million and a half million", "two and three"]
)
def test_a_half_of_an_unclear_number_is_none(said: str) -> None:
    with pytest.raises(UserError, match="holds no single number"):
        check_gold(Example("u", "?", said, "numerical"))


MULTIPLES = """
three times 5|four times 5|thrice 5|a third of 5|one third of 5|a quarter of 5|quarter of 5|two thirds of 5
5的平方|5的两倍|5的一半|5分之一|5i|three plus 5|5的三次方|3 times 5|half of 5|五的平方|five squared|根号5
"""


@pytest.mark.parametrize("said", phrases(MULTIPLES))
def test_what_is_made_of_a_number_is_not_the_number(said: str) -> None:
    assert score("5", said) == 0.0
    with pytest.raises(UserError, match="holds no single number"):
        check_gold(Example("u", "?", said, "numerical"))


BOUNDS = """
超过5|不到5|至少5|至少5个|5以上|5以下|不止5|不止5个|最多5|5多|5个以上|5个多|不超过5|少于5|大于5|至少有5个|5秒以内|五以上|五个以下
5 > x|5 < x|5 <= x|5 >= x|5 ≥ x|x &gt; 5|x &lt; 5|x > 5|less than five|más de 5|mehr als 5|au moins 5|5 이상
"""


@pytest.mark.parametrize("said", phrases(BOUNDS))
def test_a_bound_is_not_the_number(said: str) -> None:
    assert score("5", said) == 0.0


MEANT = """
5左右|约5|5个|5个多边形|5 times|5 halves|x = 5|5 &nbsp;|I counted three times: 5|5个半球|5 and that is it
5只|第5|5人|答案是5|5 quarters|五个|大约5个
"""


@pytest.mark.parametrize("said", phrases(MEANT))
def test_a_number_itself_counts(said: str) -> None:
    assert score("5", said) == 1.0


@pytest.mark.parametrize(("gold", "answer"), [("5+", "5以上"), ("x > 5", "5 < x"), ("less than 5", "不到5")])
def test_a_bound_meets_the_same_bound(gold: str, answer: str) -> None:
    assert score(gold, answer) == score(answer, gold) == score(gold, "5") == 1.0
