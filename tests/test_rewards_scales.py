"""Numbers in words, units, currencies and notations of several countries: gold ⇐ answer, judged by hand before."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ral.rewards.accuracy import accuracy, check_gold
from ral.rewards.numbers import in_terms_of, parse_number
from ral.types import Example, UserError

SAME = r"""
3万 ⇐ 30000 ⏐ 30000 ⇐ 3万 ⏐ 3 万 ⇐ 30000 ⏐ ３万 ⇐ 30000 ⏐ 三万 ⇐ 30000 ⏐ 1.2亿 ⇐ 120000000 ⏐ 1.2億 ⇐ 120000000
2 dozen ⇐ 24 ⏐ 24 ⇐ 2 dozen ⏐ 24 ⇐ two dozen ⏐ 5 lakh ⇐ 500000 ⏐ 1.5 lakh ⇐ 150000 ⏐ 1.5 lakhs ⇐ 1,50,000
150000 ⇐ 1.5 lakh ⏐ 2 crore ⇐ 20000000 ⏐ 2 crores ⇐ 2,00,00,000 ⏐ 100万 ⇐ 1000000 ⏐ 100万 ⇐ 1 million
5千 ⇐ 5000 ⏐ 三 ⇐ 3 ⏐ 3 ⇐ 三 ⏐ 十二 ⇐ 12 ⏐ 12 ⇐ 十二 ⏐ 二十一 ⇐ 21 ⏐ 一百二十三 ⇐ 123 ⏐ 两百 ⇐ 200
250 ⇐ 二百五十 ⏐ 二〇二三 ⇐ 2023 ⏐ 2023 ⇐ 二零二三 ⏐ 3万5千 ⇐ 35000 ⏐ 1亿2000万 ⇐ 120000000 ⏐ 3.5万 ⇐ 35000
三个 ⇐ 3 ⏐ 3 ⇐ 三个 ⏐ 3 ⇐ 三只猫 ⏐ 3 ⇐ 共三个 ⏐ 3 ⇐ 答案是三 ⏐ 5 bn ⇐ 5000000000 ⏐ 5bn ⇐ 5,000,000,000
5 mn ⇐ 5000000 ⏐ $2.5M ⇐ 2,500,000 ⏐ $2.5M ⇐ $2.5 million ⏐ $5m ⇐ $5,000,000 ⏐ 5B ⇐ 5 billion
5 trillion ⇐ 5e12 ⏐ 3.5 million ⇐ 3500000 ⏐ 3.5 million ⇐ 3,500,000 ⏐ 2.5 thousand ⇐ 2500 ⏐ 5K ⇐ 5000
20k ⇐ 20,000 ⏐ half a million ⇐ 500000 ⏐ 500000 ⇐ half a million ⏐ a dozen ⇐ 12 ⏐ 12 ⇐ a dozen
2500000 ⇐ two and a half million ⏐ 1500000 ⇐ a million and a half ⏐ 18 ⇐ one and a half dozen
one and a half lakh ⇐ 1,50,000 ⏐ two and a quarter million ⇐ 2.25 million ⏐ a dozen and a half ⇐ 18
half a dozen ⇐ 6 ⏐ one hundred ⇐ 100 ⏐ a hundred ⇐ 100 ⏐ 100 ⇐ a hundred ⏐ 123 ⇐ one hundred and twenty-three
2500 ⇐ two thousand five hundred ⏐ 1.5 ⇐ one and a half ⏐ 0.5 ⇐ a half ⏐ 0.5 ⇐ one half ⏐ 0.5 ⇐ half
0.75 ⇐ three quarters ⏐ 2/3 ⇐ two thirds ⏐ 0.667 ⇐ two-thirds ⏐ 2.5 ⇐ two point five ⏐ -3 ⇐ minus three
3 ⇐ three ⏐ 3 ⇐ Three. ⏐ 3 ⇐ three apples ⏐ 3 ⇐ There are three apples ⏐ 3 ⇐ The answer is three
3 ⇐ It is three ⏐ 3/4 ⇐ 3∕4 ⏐ 3/4 ⇐ 3⁄4 ⏐ 3/4 ⇐ ¾ ⏐ 3∕4 ⇐ 0.75 ⏐ ½ ⇐ 0.5 ⏐ 1½ ⇐ 1.5 ⏐ 1 1/2 ⇐ 1.5
1.5 ⇐ 1 ½ ⏐ 2⅓ ⇐ 2.333 ⏐ 10³ ⇐ 1000 ⏐ 1000 ⇐ 10³ ⏐ 1000 ⇐ 10^3 ⏐ 1e3 ⇐ 1000 ⏐ 1×10^3 ⇐ 1000
1.2×10³ ⇐ 1200 ⏐ 1.2·10^3 ⇐ 1200 ⏐ 1.2*10^3 ⇐ 1200 ⏐ 3x10^8 ⇐ 300000000 ⏐ 1,234.5 ⇐ 1234.5
1.234,5 ⇐ 1234.5 ⏐ 1 234,5 ⇐ 1234.5 ⏐ 1'234 ⇐ 1234 ⏐ 1’234 ⇐ 1234 ⏐ 1,00,000 ⇐ 100000 ⏐ 1_000 ⇐ 1000
1000 ⇐ 1_000 ⏐ ١٢٣ ⇐ 123 ⏐ ١٬٢٣٤٫٥ ⇐ 1234.5 ⏐ 1，234 ⇐ 1234 ⏐ −5 ⇐ -5 ⏐ –5 ⇐ -5 ⏐ －5 ⇐ -5 ⏐ 50% ⇐ 0.5
50% ⇐ 50 ⏐ 0.5 ⇐ 50% ⏐ 50% ⇐ 百分之五十 ⏐ 50% ⇐ fifty percent ⏐ 50% ⇐ 50 per cent ⏐ 5‰ ⇐ 0.5%
2/3 ⇐ 三分之二 ⏐ $5 ⇐ 5 ⏐ 5 ⇐ $5 ⏐ $5 ⇐ 5 dollars ⏐ $5 ⇐ USD 5 ⏐ $5 ⇐ US$5 ⏐ $5 ⇐ 5 USD ⏐ $5 ⇐ $5.00
5 € ⇐ €5 ⏐ 5 € ⇐ 5 euros ⏐ 5 EUR ⇐ 5,00 € ⏐ £5 ⇐ 5 GBP ⏐ ¥500 ⇐ 500円 ⏐ ¥500 ⇐ 500元 ⏐ 500元 ⇐ 500 RMB
₹500 ⇐ Rs. 500 ⏐ ₹5 lakh ⇐ 500000 ⏐ $0.50 ⇐ 50 cents ⏐ 50¢ ⇐ $0.50 ⏐ €0.50 ⇐ 50 cents ⏐ $1,200 ⇐ 1200
$5$ ⇐ 5 ⏐ 5 ⇐ $5$ ⏐ 5 ⇐ \$5 ⏐ \$5 ⇐ 5 ⏐ $\$5$ ⇐ $5 ⏐ 5 € ⇐ $5$ ⏐ 5 cm ⇐ 0.05 m ⏐ 5cm ⇐ 50mm ⏐ 5 kg ⇐ 5000 g
2 h ⇐ 120 min ⏐ 5 cm ⇐ 5 cm long ⏐ 20 °C ⇐ 68 °F ⏐ 25 °C ⇐ 25 degrees ⏐ 25 °C ⇐ 25°
25 °C ⇐ 25 degrees Celsius ⏐ 25 °C ⇐ 77 °F ⏐ 273.15 K ⇐ 0 °C ⏐ 90° ⇐ 90 degrees ⏐ 90 ⇐ 90°
5 km/h ⇐ 5 kilometers per hour ⏐ 36 km/h ⇐ 10 m/s ⏐ 5 m/s ⇐ 5 meters per second ⏐ 9.8 m/s² ⇐ 9.8 m/s^2
1 kB ⇐ 1000 bytes ⏐ 2 GB ⇐ 2000 MB ⏐ 100 V ⇐ 0.1 kV ⏐ 5 kW ⇐ 5000 W ⏐ 5 MW ⇐ 5000 kW ⏐ 1 week ⇐ 7 days
1 year ⇐ 12 months ⏐ 5 N ⇐ 5000 mN ⏐ 5 kHz ⇐ 5000 Hz ⏐ 5千克 ⇐ 5 kg ⏐ 5公斤 ⇐ 5000克 ⏐ 5厘米 ⇐ 5 cm
5 lbs ⇐ 80 oz ⏐ 25 m² ⇐ 25 平方米 ⏐ 5 years ⇐ 5 years old ⏐ 5 ⇐ 5 years old ⏐ 5 ⇐ 5 in total
5 m ⇐ 5 meters tall ⏐ 5 ⇐ 2+3=5 ⏐ 5 ⇐ 2 + 3 = 5 ⏐ 5 ⇐ x = 5 ⏐ 5 ⇐ x=5 cm ⏐ 5 cm ⇐ x = 5 cm ⏐ 5 ⇐ about 5
5 ⇐ approximately 5 ⏐ 5 ⇐ ~5 ⏐ 5+ ⇐ 5+ ⏐ 5+ ⇐ 5 ⏐ more than 5 ⇐ more than 5 ⏐ >5 ⇐ >5 ⏐ >5 ⇐ 5
7 ⇐ \boxed{7} ⏐ 7 ⇐ \boxed7 ⏐ 7 ⇐ \fbox{7} ⏐ 7 ⇐ <b>7</b> ⏐ 7 ⇐ 7<br> ⏐ 7 ⇐ 7</s> ⏐ 36 ⇐ \angle 36 ⏐ 5 ⇐ '5'
5 ⇐ “5” ⏐ 5 ⇐ 5个 ⏐ 5 ⇐ 5 個 ⏐ 5 ⇐ No. 5 ⏐ 5 ⇐ #5 ⏐ 3:30 ⇐ 3:30 ⏐ 3:30 ⇐ 3 min 30 s ⏐ 1e-7 ⇐ 0.0000001
5 people ⇐ 5 ⏐ 12 apples ⇐ 12 ⏐ 5 ⇐ five (5) ⏐ 1.5 lakh crore ⇐ 1500000000000 ⏐ 3 hundred million ⇐ 300000000
5 Mio. ⇐ 5000000 ⏐ 2,5 Millionen ⇐ 2500000 ⏐ 5 млн ⇐ 5000000 ⏐ 10 тыс. ⇐ 10000
5 миллионов ⇐ 5 million ⏐ 3만 ⇐ 30000 ⏐ 5억 ⇐ 500000000 ⏐ 2 लाख ⇐ 200000 ⏐ 2 करोड़ ⇐ 20000000
5 triệu ⇐ 5000000 ⏐ 2 millones ⇐ 2000000 ⏐ 5 milliards ⇐ 5000000000 ⏐ 100 ⇐ one hundred ⏐ 21 ⇐ Twenty One
1000000 ⇐ a million ⏐ 5 ⇐ 5 pieces ⏐ -5 ⇐ -$5 ⏐ -5 ⇐ $-5 ⏐ 1500 ⇐ $1.5k ⏐ 7 ⇐ $7$.
70 mph ⇐ 70 miles per hour ⏐ 8 ⇐ eight ⏐ 5 ⇐ 5. ⏐ 5 ⇐ 5。 ⏐ 5 ⇐ 答案：5 ⏐ 5 ⇐ The answer is 5. ⏐ 3 ⇐ 3 pairs
3 pairs ⇐ 3 ⏐ 25 USD ⇐ $25 ⏐ 5 m ⇐ 500 cm ⏐ 5 dozen eggs ⇐ 60 ⏐ 60 ⇐ five dozen
三分之二 ⇐ 0.667 ⏐ 百分之三点五 ⇐ 3.5% ⏐ 0.33 ⇐ 百分之33 ⏐ 百分之33.5 ⇐ 33.5% ⏐ 2/3 ⇐ 3分之2 ⏐ 五成 ⇐ 50%
"""
OTHER = r"""
三分之二 ⇐ 0.6 ⏐ 2 ⇐ 3分之2 ⏐ 3 ⇐ 3分之2 ⏐ 五成 ⇐ 51% ⏐ 百分之33 ⇐ 32%
3万 ⇐ 3 ⏐ 3 ⇐ 3万 ⏐ 30000 ⇐ 3 ⏐ 1.2亿 ⇐ 1.2 ⏐ 2 dozen ⇐ 2 ⏐ 2 ⇐ 2 dozen ⏐ 5 lakh ⇐ 5 ⏐ 1 crore ⇐ 100000
100万 ⇐ 100 ⏐ 5千 ⇐ 5 ⏐ 5bn ⇐ 5 ⏐ 5 mn ⇐ 5 ⏐ $2.5M ⇐ 2.5 ⏐ 三 ⇐ 4 ⏐ 十二 ⇐ 2 ⏐ 12 ⇐ 十三 ⏐ 3万 ⇐ 三十
$5 ⇐ 5 € ⏐ 5 € ⇐ $5 ⏐ 5 USD ⇐ 5 EUR ⏐ £5 ⇐ $5 ⏐ ¥500 ⇐ $500 ⏐ 5 yen ⇐ 5 yuan ⏐ ₹5 ⇐ $5 ⏐ $5 ⇐ £5
5 dollars ⇐ 5 euros ⏐ $5 ⇐ 50 cents ⏐ 5 cm ⇐ 5 kg ⏐ 5 cm ⇐ 5 s ⏐ 5 cm ⇐ 5 m ⏐ 5 GB ⇐ 5 MB ⏐ 5 mW ⇐ 5 MW
100 V ⇐ 100 kV ⏐ 5 km/h ⇐ 5 m/s ⏐ 5 °C ⇐ 5 °F ⏐ 20 °C ⇐ 20 °F ⏐ 25 °C ⇐ 25 K ⏐ 2 years ⇐ 2 days
1 week ⇐ 1 day ⏐ 5 kg ⇐ 5 lbs ⏐ 5 N ⇐ 5 J ⏐ 5 ⇐ 5-6 ⏐ 5 ⇐ 5 to 6 ⏐ 5 ⇐ between 5 and 6 ⏐ 3 ⇐ between 3 and 5
5 ⇐ 5 or 6 ⏐ 5 ⇐ 5, 6 ⏐ 5 ⇐ five or six ⏐ 5 ⇐ more than 5 ⏐ 5 ⇐ >5 ⏐ 5 ⇐ at least 5 ⏐ 5 ⇐ 5+ ⏐ 5 ⇐ less than 5
5 ⇐ ≥5 ⏐ 5 ⇐ ±5 ⏐ 5 ⇐ not 5 ⏐ 5 ⇐ 5 > 3 ⏐ 3 ⇐ 3:30 ⏐ 3 ⇐ 3/4 ⏐ 3 ⇐ 2023-05-03 ⏐ 2023 ⇐ 2023-05-01
5 ⇐ 5/6/2023 ⏐ 5 ⇐ inf ⏐ 5 ⇐ nan ⏐ 5 ⇐ infinity ⏐ 5 ⇐ none ⏐ 5 ⇐ 1e999 ⏐ 0.5 ⇐ 1/3 ⏐ 50% ⇐ 0.5% ⏐ 5‰ ⇐ 5%
5‰ ⇐ 5 ⏐ 1.5 ⇐ 3:2 ⏐ 2 ⇐ two thirds ⏐ 2 ⇐ two or three ⏐ 1 ⇐ no one knows ⏐ 1 ⇐ one of them ⏐ 1 ⇐ one or two
5 ⇐ 5 apples and 3 oranges ⏐ 3 ⇐ 3 of 5 ⏐ 7 ⇐ 7 out of 10 ⏐ 7 ⇐ 7/10 ⏐ 5 ⇐ x^5 ⏐ 1 ⇐ 一些 ⏐ 1 ⇐ 一样
3 ⇐ 三或四 ⏐ 3 ⇐ 三到五 ⏐ 20 ⇐ 二 ⏐ 1000 ⇐ 千米 ⏐ 5 ⇐ 5千 ⏐ 1000 ⇐ 1,0,0,0 ⏐ 10 ⇐ 1 0 ⏐ 5 million ⇐ 5 billion
2.5 ⇐ two and a half million ⏐ 2000000 ⇐ two and a half million ⏐ 2000000.5 ⇐ two million and a half
1.5 ⇐ one and a half dozen ⏐ 1.5 ⇐ one and a half hundred ⏐ 2500000 ⇐ two and half a million
100 ⇐ one thousand ⏐ 21 ⇐ twenty ⏐ 23 ⇐ twenty ⏐ 35 ⇐ thirty fifty ⏐ 5 ⇐ fifty ⏐ 15 ⇐ fifty ⏐ 5 dozen ⇐ 5
12 ⇐ dozen eggs two ⏐ 1.5 ⇐ 1 1/3 ⏐ -5 ⇐ 5 ⏐ 5 ⇐ -5 ⏐ 7 ⇐ [7, 8] ⏐ 5 € ⇐ $5 (5 €) ⏐ 5 ⇐ 5 x 3 ⏐ 1 ⇐ a ⏐ 5 ⇐ 
5 ⇐ . ⏐ 5 ⇐ - ⏐ 5 ⇐ $ ⏐ 5 ⇐ € ⏐ 5 ⇐ % ⏐ 5 ⇐ 万 ⏐ 6 ⇐ 3 pairs ⏐ 25 °C ⇐ 25 km ⏐ 5 ⇐ five hundred
100 ⇐ hundred and one ⏐ 2 ⇐ CO2 ⏐ 3 ⇐ second ⏐ 5 ⇐ 5k ⏐ 5000 ⇐ 5
"""


def pairs(table: str) -> list[tuple[str, str]]:
    rows = [row.split("⇐") for line in table.strip().splitlines() for row in line.split("⏐")]
    return [(gold.strip(), answer.strip()) for gold, answer in rows]


def entry(gold: str, kind: str = "numerical") -> Example:
    return Example("1", "?", gold, kind, source="t.json entry 1")


def score(gold: str, answer: str, kind: str = "numerical") -> float:
    return accuracy(entry(gold, kind), f"<think>hm</think><answer>{answer}</answer>")


def test_both_directions_are_many() -> None:
    assert len(pairs(SAME)) >= 190
    assert len(pairs(OTHER)) >= 120


@pytest.mark.parametrize(("gold", "answer"), pairs(SAME))
def test_the_same_number(gold: str, answer: str) -> None:
    assert score(gold, answer) == 1.0


@pytest.mark.parametrize(("gold", "answer"), pairs(OTHER))
def test_another_number_or_none(gold: str, answer: str) -> None:
    assert score(gold, answer) == 0.0


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        *[("3万", "27000", 0.9), ("2 dozen", "18", 0.75), ("$5", "4 €", 0.0), ("$5", "$4", 0.8), ("5 kg", "5 cm", 0.0)],
        *[("20 °C", "59 °F", 0.75), ("三", "3", 1.0), ("1.5 lakh", "75000", 0.5), ("2 h", "90 min", 0.75)],
    ],
)
def test_regression_reads_numbers_alike(gold: str, answer: str, expected: float) -> None:
    assert score(gold, answer, "regression") == pytest.approx(expected)


@pytest.mark.parametrize("gold", sorted({gold for gold, _ in pairs(SAME)}))
@pytest.mark.parametrize("kind", ["numerical", "regression"])
def test_every_gold_answer_equals_itself(gold: str, kind: str) -> None:
    check_gold(entry(gold, kind))
    assert score(gold, gold, kind) == 1.0


@pytest.mark.parametrize(
    "gold", ["a lot", "5 or 6", "between 3 and 5", "$5 or 5 €", "nan", "inf", "一些", "万", "$", "1/0"]
)
def test_gold_without_one_number_is_an_error(gold: str) -> None:
    with pytest.raises(UserError, match=r"t\.json entry 1: field solution: .* holds no single number"):
        check_gold(entry(gold))


SYMMETRIC = [
    (a, b) for a, b in pairs(SAME) if (x := parse_number(a)) and (y := parse_number(b)) and not x.bound + y.bound
]


@pytest.mark.parametrize(("one", "other"), SYMMETRIC)
def test_equality_goes_both_ways(one: str, other: str) -> None:
    first, second = parse_number(one), parse_number(other)
    assert first is not None
    assert second is not None
    near = [v for v in in_terms_of(second, first) if abs(v - second.value) <= abs(second.value) / 99]
    assert near


ANY = st.sampled_from([text for pair in pairs(SAME) + pairs(OTHER) for text in pair])


@settings(max_examples=200, deadline=None)
@given(ANY.filter(lambda t: parse_number(t) is not None), st.sampled_from(["", " ", "\n", "\u3000", "\u200b", "**"]))
def test_blanks_and_marks_around_change_nothing(text: str, mark: str) -> None:
    assert parse_number(f"{mark}{text}{mark}") == parse_number(text)


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=40), st.lists(ANY, max_size=3).map(" ".join), st.lists(ANY, max_size=3).map("".join)))
def test_any_text_is_a_finite_number_or_none(text: str) -> None:
    for gold in ("5", "$5", "3万", "50%", "25 °C"):
        for kind in ("numerical", "regression"):
            value = score(gold, text, kind)
            assert math.isfinite(value)
            assert 0.0 <= value <= 1.0


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 9999),
    st.sampled_from(
        [("thousand", 10**3), ("k", 10**3), ("million", 10**6), ("万", 10**4), ("lakh", 10**5), ("dozen", 12)]
    ),
)
def test_a_scale_word_multiplies(n: int, scale: tuple[str, int]) -> None:
    word, factor = scale
    joint = "" if word == "k" else " "
    assert score(str(n * factor), f"{n}{joint}{word}") == 1.0
    assert score(f"{n}{joint}{word}", str(n)) == 0.0
