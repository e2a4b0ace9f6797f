"""Free-form answers whose symbols matter, and marks that do not: judged by hand before the rules ran."""

from __future__ import annotations

import pytest

from ral.rewards.accuracy import accuracy
from ral.rewards.texts import words
from ral.types import Example

SAME = r"""
C++ ⇐ c++ ⏐ C++ ⇐ C++. ⏐ C# ⇐ "c#" ⏐ x > y ⇐ x>y ⏐ a+b ⇐ a + b ⏐ a - b ⇐ a-b ⏐ a - b ⇐ a − b
x=5 ⇐ x = 5 ⏐ 2:3 ⇐ 2:3.
3.5 ⇐ **3.5** ⏐ 5% ⇐ 5 % ⏐ $5 ⇐ $5. ⏐ €5 ⇐ 5 € ⏐ -1 ⇐ −1 ⏐ 1,000 people ⇐ 1000 people ⏐ $1,000 ⇐ $1000
café ⇐ cafe
café ⇐ cafe\u0301 ⏐ Zoë ⇐ Zoe ⏐ café ⇐ CAFÉ! ⏐ twenty-one ⇐ twenty one ⏐ twenty-one ⇐ twenty–one
ice-cream ⇐ icecream
red, blue ⇐ red blue ⏐ red/blue ⇐ red blue ⏐ a/b ⇐ a, b ⏐ don't ⇐ dont ⏐ "red" ⇐ red ⏐ red ⇐ (red)
red ⇐ - red ⏐ red ⇐ # red
red ⇐ > red ⏐ red ⇐ *red* ⏐ red ⇐ <b>red</b> ⏐ red ⇐ $red$ ⏐ U.S.A. ⇐ USA ⏐ red ⇐ red?
well-known ⇐ Well known.
3/4 ⇐ $3/4$ ⏐ 2020-01-05 ⇐ 2020/01/05 ⏐ 5 m² ⇐ 5 m^2 ⏐ red - blue ⇐ red, blue ⏐ 蓝色 ⇐ 蓝色。 ⏐ A+ ⇐ a+ ⏐ x² ⇐ x^2
T-shirt ⇐ t shirt ⏐ COVID-19 ⇐ covid 19 ⏐ 5 ⇐ 5. ⏐ 5 ⇐ +5 ⏐ the big dog ⇐ the *big* dog ⏐ x² + 1 ⇐ x^2+1
naïve ⇐ naive
A to B ⇐ A to B! ⏐ 3:30 pm ⇐ 3:30 PM ⏐ 约5% ⇐ 约5％ ⏐ ５％ ⇐ 5% ⏐ ... ⇐ ... ⏐ 50 % of it ⇐ 50% of it
Müller ⇐ muller
x ≤ 5 ⇐ x≤5 ⏐ 90° ⇐ 90 ° ⏐ São Paulo ⇐ Sao Paulo ⏐ e-mail ⇐ email ⏐ 1. red ⇐ 1 red ⏐ 价格是¥5 ⇐ 价格是5¥
"""
LESS = r"""
C++ ⇐ C ⏐ C++ ⇐ C# ⏐ C ⇐ C++ ⏐ F# ⇐ F ⏐ A+ ⇐ A ⏐ A+ ⇐ A- ⏐ A- ⇐ A ⏐ x > y ⇐ x < y ⏐ x > y ⇐ x y
x ≥ y ⇐ x > y ⏐ a+b ⇐ a-b
a-b ⇐ a b ⏐ a + b ⇐ a * b ⏐ a / b ⇐ a + b ⏐ 2:3 ⇐ 2.3 ⏐ 3.5 ⇐ 3 5 ⏐ 3.5 ⇐ 35 ⏐ 3/4 ⇐ 3 4 ⏐ 5% ⇐ 5
5 ⇐ 5% ⏐ $5 ⇐ 5
$5 ⇐ €5 ⏐ £5 ⇐ $5 ⏐ -1 ⇐ 1 ⏐ 1 ⇐ -1 ⏐ x = 5 ⇐ x > 5 ⏐ x = 5 ⇐ x = -5 ⏐ 5+ ⇐ 5 ⏐ > 5 ⇐ < 5 ⏐ ±5 ⇐ 5 ⏐ ≠ 5 ⇐ = 5
90° ⇐ 90 ⏐ √2 ⇐ 2 ⏐ 3,5 ⇐ 35 ⏐ 5 - 3 ⇐ 5 + 3 ⏐ 1.5 cm ⇐ 15 cm ⏐ it costs $5 ⇐ it costs €5 ⏐ 温度是-5度 ⇐ 温度是5度
x² + 1 ⇐ x² - 1 ⏐ .5 ⇐ 5 ⏐ 10:30 ⇐ 10 30 ⏐ -x ⇐ x ⏐ 上涨5% ⇐ 上涨5 ⏐ 2 × 3 ⇐ 2 ÷ 3 ⏐ 5 * 3 ⇐ 5 3 ⏐ # ⇐ !
A ∪ B ⇐ A ∩ B
(a + b) ⇐ (a - b) ⏐ 1.0.2 ⇐ 1.0.3 ⏐ x == y ⇐ x != y ⏐ résumé ⇐ resumes now
"""


def pairs(table: str) -> list[tuple[str, str]]:
    """The rows of a table as (gold, answer)."""
    rows = [row.split("⇐") for line in table.strip().splitlines() for row in line.split("⏐")]
    return [(gold.strip(), answer.strip().replace("\\u0301", "\u0301")) for gold, answer in rows]


def score(gold: str, answer: str, rules: str = "fixed") -> float:
    """The accuracy of one free-form answer."""
    return accuracy(Example("1", "?", gold, "free-form"), f"<answer>{answer}</answer>", rules=rules)  # type: ignore[arg-type]


@pytest.mark.parametrize(("gold", "answer"), pairs(SAME))
def test_marks_that_say_nothing_do_not_count(gold: str, answer: str) -> None:
    assert score(gold, answer) == 1.0
    assert score(answer, gold) == 1.0


@pytest.mark.parametrize(("gold", "answer"), pairs(LESS))
def test_symbols_that_change_the_meaning_count(gold: str, answer: str) -> None:
    assert score(gold, answer) < 0.95


@pytest.mark.parametrize(("gold", "answer"), [("-1", "1"), ("C++", "C"), ("C++", "C#"), ("3.5", "3 5"), ("2:3", "2.3")])
def test_a_symbol_inside_a_word_makes_another_word(gold: str, answer: str) -> None:
    assert score(gold, answer) == 0.0


def test_the_published_rules_know_no_symbols() -> None:
    assert score("x > y", "x < y", "compat") == 1.0


def test_a_stem_is_of_words_alone() -> None:
    assert score("two running dogs", "two running dog") == 1.0
    assert len(words("C++ is 5% faster")) == 5
