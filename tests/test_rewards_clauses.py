"""Units with negative powers, rates, parts, times, years, sums and clauses of time: judged by hand."""

from __future__ import annotations

import time

import pytest

from ral.rewards.accuracy import accuracy, check_gold
from ral.rewards.numbers import parse_number
from ral.types import Example, UserError

KINDS = {"c": "multiple choice", "n": "numerical", "o": "OCR", "f": "free-form", "r": "regression"}

# (kind, options, gold, answers that are right)
RIGHT: list[tuple[str, tuple[str, ...], str, str]] = [
    ("n", (), "10 m/s", r"10 m s^{-1} | 10\,m\,s^{-1} | 10\ \text{m s}^{-1} | 10 \mathrm{m/s} | 10 m s^-1 | 10 m·s⁻¹"),
    ("n", (), "10 m/s", r"10~\mathrm{m\cdot s^{-1}} | 10\,\mathrm{ms^{-1}} | 10\,\text{m s}^{-1}"),
    ("n", (), "10 m/s", r"10\ \mathrm{m\,s^{-1}} | 10\,\frac{\text{m}}{\text{s}}"),
    (
        "n",
        (),
        "10 km/h",
        r"每小时10公里 | 10 km per hour | 时速10公里 | 10公里每小时 | 10公里/小时 | 10\,\text{km h}^{-1} | 10 km·h⁻¹",
    ),
    ("n", (), "10 km/h", "10 kilometers an hour | 時速10キロメートル | 시속 10km"),
    ("n", (), "2/5", "2 out of 5 | 40% | 2/5 | 4 out of 10 | 0.4 | 2 in 5 | 40 percent | two out of five"),
    ("n", (), "2/5", r"2 out of the 5 | 2 out of 5 balls | \frac{2}{5}"),
    ("n", (), "40%", "2 out of 5 | 40% | 2/5 | 4 out of 10 | 0.4 | 2 in 5 | 40 percent | 40% (2 out of 5)"),
    ("n", (), "40%", "2/5 (40%) | 0.4 (40%)"),
    ("n", (), "0.4", "2 out of 5 | 40% | 2/5 | 4 out of 10 | 0.4 | 2 in 5 | 40 percent | 4 in 10 | 40 out of 100"),
    ("n", (), "25%", "25 out of 100 | 25 % | 0.25 | one out of four"),
    ("n", (), "1/4", "25 out of 100 | 1 in 4"),
    ("n", (), "10:30 AM", "10:30 | 10:30 AM | 10:30am | at 10:30 A.M. | 10:30 in the morning | 10:30 a.m."),
    ("n", (), "10:30 AM", "It's 10:30 AM."),
    ("n", (), "22:30", "10:30 PM | 晚上10点30分"),
    ("n", (), "10:30 PM", "22:30 | 晚上10:30 | 下午10点30分"),
    ("n", (), "10:30", "10:30 AM | 10点30分 | The clock shows 10:30. | The time is 10:30."),
    ("n", (), "1999", "nineteen ninety-nine | nineteen hundred ninety-nine | nineteen hundred and ninety-nine"),
    ("n", (), "1999", "一九九九年"),
    ("n", (), "2024", "twenty twenty-four | two thousand and twenty-four"),
    ("n", (), "5", "3 plus 2 equals 5 | 3 + 2 = 5 | In 2015, the value was 5 | 4 red and 2 blue, so 5 | 每天5个苹果"),
    ("n", (), "5", "5 in 2010 | 5 (five) | five plus zero equals five | 2 + 2 + 1 = 4 + 1 = 5"),
    ("n", (), "5", "By 2020, it reached 5. | As of 2020, 5 people | Since 2010, 5 have been built"),
    ("n", (), "5", "Between 2010 and 2015, it rose by 5. | At 0:15, there are 5 people."),
    ("n", (), "5", "Of the 8 balls, 5 are red. | Out of 8 balls, 5 are red | On May 3, 2015, 5 people came."),
    ("n", (), "5", "2015年，有5个 | 5年 | Im Jahr 2015 waren es 5 | En 2015, la valeur était 5"),
    ("n", (), "5", "3 red, 2 blue. Total: 5 | 3 red and 2 blue, which makes 5 in total. | 3 红 2 蓝，共5个"),
    ("n", (), "5", "3 red and 2 blue, so 3 + 2 = 5 | Three plus two makes five."),
    ("n", (), "5", r"3 apples plus 2 apples equals 5 apples | 3+2=5 | $3 + 2 = 5$ | \boxed{3 + 2 = 5}"),
    ("n", (), "5", r"3 + 2 = \boxed{5} | **Answer:** 5 | The answer is **5**. | # 5 | Answer: 5 (3 + 2) | **5**"),
    (
        "n",
        (),
        "5",
        r"\boxed{5} | There are 5 balls in total. | ５ | 五个 | 5개 | 5つ | 5匹です。 | three plus two is five",
    ),
    ("n", (), "5", "The value was 5 in 2015. | On March 3, 2015, there were 5. | 2015年的数值是5"),
    ("n", (), "5", "3 red and 2 blue. So the total is 5."),
    ("n", (), "5", "There are 3 red and 2 blue balls, so there are 5 balls in total. | 5. | 5/1"),
    ("n", (), "5 mol/L", "5 mol L^{-1}"),
    ("n", (), "5 W/m^2", r"5\,\mathrm{W\,m^{-2}}"),
    ("n", (), "60 km/h", "时速60公里 | 时速为60公里 | 每小时约60公里"),
    ("n", (), "60 km/h", "每小时六十公里 | 60公里每小时 | 60 km pro Stunde | 60 km por hora"),
    ("n", (), "60 miles per hour", "60 mph"),
    ("n", (), "1/3", "1/3 (33.3%)"),
    ("n", (), "33%", "33% or 1/3"),
    ("n", (), "10 cm", "10 cm (100 mm)"),
    ("n", (), "17:30", "5:30 PM | 17:30 PM"),
    ("n", (), "3 PM", "15:00"),
    ("n", (), "3 AM", "3"),
    ("n", (), "15", "3 PM"),
    ("n", (), "10点30分", "10:30"),
    ("n", (), "午前10時30分", "10:30 AM"),
    ("n", (), "오후 3시 45분", "15:45"),
    ("n", (), "12:00 PM", "12:00"),
    ("n", (), "12:00 AM", "0:00"),
    ("n", (), "90 s", "1:30"),
    ("n", (), "2010", "twenty ten"),
    ("n", (), "2005", "two thousand five | twenty oh five"),
    ("n", (), "21", "twenty one"),
    ("n", (), "1915", "nineteen fifteen"),
    ("n", (), "1984", "in nineteen eighty-four"),
    ("n", (), "12", "3 × 4 = 12"),
    ("n", (), "2.5", "5 divided by 2 is 2.5"),
    ("n", (), "7", "The sum of 3 and 4 is 7 | The sum of 3 and 4 is 7."),
    ("n", (), "5%", "In 2015, the rate was 5%"),
    ("n", (), "5 m/s", "After 10 s, the speed is 5 m/s."),
    ("n", (), "2015", "It was built in 2015. | In 2015."),
    ("n", (), "4", "The average of 3, 4 and 5 is 4"),
    ("n", (), "6", "three times two equals six | 2 times 3 is 6"),
    ("n", (), "5 km", "5 km in 2 hours"),
    ("n", (), "60", "60 beats per minute"),
    ("n", (), "24", "24 frames per second"),
    ("n", (), "5 years", "5 Jahre"),
    ("n", (), "1.5 h", "1,5 Stunden"),
    ("n", (), "2.4e-5", "2.4 × 10⁻⁵"),
    ("n", (), "10%", "10 Prozent | 百分之十 | 1/10 | 10 percentage points"),
    ("n", (), "-3.5", "minus 3,5"),
    ("n", (), "1e6", "1 million"),
    ("n", (), "3/4", "three quarters | three out of four people | ¾"),
    ("n", (), "75%", "3 in 4"),
    ("n", (), "1234.56", "1.234,56 | 1 234,56 | 1 234.56"),
    ("n", (), "1234567", "1.234.567"),
    ("n", (), "1234", "1'234"),
    ("n", (), "3.5", "3,5"),
    ("n", (), "0.5", ".5"),
    ("n", (), "-5", "−5 | negative five"),
    ("n", (), "1200", r"1.2 × 10^3 | 1.2e3 | $1.2 \times 10^{3}$"),
    ("n", (), "0.0012", r"1.2\times10^{-3}"),
    ("n", (), "12:15 AM", "0:15"),
    ("n", (), "12:15 PM", "12:15"),
    ("n", (), "10 AM", "10:00 AM"),
    ("n", (), "15:45", "15:45 Uhr"),
    ("n", (), "1905", "nineteen oh five"),
    ("n", (), "1900", "nineteen hundred"),
    ("n", (), "1", "3 minus 2 equals 1"),
    ("n", (), "10 m/s^2", r"10\,\text{m s}^{-2}"),
    ("n", (), "10 Hz", r"10\,s^{-1}"),
    ("n", (), "36 km/h", "10 m s^{-1}"),
    ("n", (), "3e8 m/s", r"3\times10^8\,\mathrm{m\,s^{-1}}"),
    ("n", (), "5 g/cm^3", r"5\,\text{g cm}^{-3}"),
    ("n", (), "5 kg", "5 Kilogramm"),
    ("n", (), "2 h", "120 Minuten"),
    ("n", (), "3", "[3]"),
    ("o", (), "STOP", "It says “STOP” | Answer: STOP"),
    ("o", (), "ＡＢＣ", "ABC"),
    ("r", (), "100", "The value was 100 in 2015."),
    ("r", (), "0.5", "1 out of 2"),
    ("o", (), "EXIT", 'The sign reads "EXIT". | EXIT'),
    ("o", (), "出口", "出口"),
    ("o", (), "２０２４", "2024"),
    ("o", (), "Coca-Cola", "The text says: Coca-Cola"),
    ("r", (), "100 cm", "1 m"),
]
# the same, of answers that are wrong
WRONG: list[tuple[str, tuple[str, ...], str, str]] = [
    ("n", (), "2.5", "5 out of 2"),
    ("n", (), "4", "100 out of 25 | 4 in 1"),
    ("n", (), "5", "He jumps many times and the dog is five"),
    ("n", (), "10 m", r"10 m s^{-1} | 10\,m\,s^{-1} | 10\ \text{m s}^{-1} | 10 \mathrm{m/s} | 10 m s^-1 | 10 m·s⁻¹"),
    ("n", (), "10 m", r"10~\mathrm{m\cdot s^{-1}} | 10 m^{-1}"),
    ("n", (), "10 km", "每小时10公里 | 10 km per hour | 时速10公里 | 10公里每小时 | 10公里/小时"),
    ("n", (), "10 m/s", "每小时10公里 | 10 km per hour | 时速10公里 | 10公里每小时 | 10公里/小时 | 10 m/s^{-1}"),
    ("n", (), "10 m/s", r"10\,\mathrm{km\,s^{-1}} | 10\ \mathrm{m\,min^{-1}} | 10 m s^{-2} | 10 m s"),
    ("n", (), "22:30", "10:30 AM | 上午10点30分"),
    ("n", (), "10:30 AM", "10:30 PM | 10:30 in the evening | 630 | 10.5 hours | 10 h 30 min | 22:30 | 下午10:30"),
    ("n", (), "2015", "In 2015, the value was 5 | In 2015, 5 houses"),
    ("n", (), "5 W/m^2", r"5\,\mathrm{W\,m^{-3}}"),
    ("n", (), "60 km/h", "每小时60米 | 60 km per minute | 60 km a day"),
    ("n", (), "10 s", r"10 per second | 10\,s^{-1}"),
    ("n", (), "2/5", "5 out of 2 balls | 2 out of 6 | 5 out of 2"),
    ("n", (), "4", "4 out of 10 | 2 + 2 + 1 = 4 + 1 = 5 | The average of 3, 4 and 5 is 5"),
    ("n", (), "4", "4 red and 2 blue, so 5"),
    ("n", (), "10", "4 out of 10 | After 10 s, the speed is 5 m/s."),
    ("n", (), "40", "40 out of 100"),
    ("n", (), "1/4", "1 in 5"),
    ("n", (), "1/2", "0 out of 0"),
    ("n", (), "40%", "40% (3 out of 5) | 2/5 (45%)"),
    ("n", (), "5", "5 or 6 | 5 (6) | 3 + 2 = 6 | 3 + 2 ≠ 5 | 3 plus 2 is not 5 | 3 plus 2 might be 5 or 6"),
    ("n", (), "5", "From 2010 to 2015 | It was 5 in 2015 and 6 in 2016 | In 2015, it was not 5"),
    ("n", (), "5", "In 2015, more than 5 | 5 of the 8 balls | 2015年3月 | 3 red and 2 blue, so it is less than 5"),
    ("n", (), "5", "3 red and 2 blue, so the answer is not 5 | There are 4 dogs, so option 5"),
    ("n", (), "5", "He jumps 3 times and the dog is 5 years old | Dogs 3 and 4 are 5 years old"),
    ("n", (), "5", "three times two equals six | 5 minus 0 | 5 oder 6 | 4-6 | between 4 and 6 | about 50"),
    ("n", (), "5", "2 out of 5 | 3 plus 2 | In 2015 it was 5 and in 2016 it was 6 | 3 red and 2 blue, so 5 or 6"),
    ("n", (), "10 cm", "10 cm (10 mm)"),
    ("n", (), "10:30 PM", "10:30"),
    ("n", (), "10:30", "10:30 PM | It is 10:30 or 11:30 | not 10:30 | 10:30 is wrong | The clock shows 10:31"),
    ("n", (), "3 PM", "3 | 3 AM"),
    ("n", (), "3", "3 PM | The sum of 3 and 4 is 7 | On May 3, 2015, 5 people came."),
    ("n", (), "3", "3 red and 2 blue, so there are 5. | 3 plus 2 equals 5 | 1, 2, 3 | 3 and 4"),
    ("n", (), "오후 3시 45분", "3:45 AM"),
    ("n", (), "12:00 AM", "12:00"),
    ("n", (), "90 s", "1:30 PM"),
    ("n", (), "30", "twenty ten"),
    ("n", (), "2001", "twenty one"),
    ("n", (), "34", "nineteen fifteen"),
    ("n", (), "1520", "fifteen to twenty | fifteen or twenty | fifteen, twenty"),
    ("n", (), "1984", "Not nineteen eighty-four | nineteen eighty five"),
    ("n", (), "6", "3 plus 2 equals 5 | It was 5 in 2015 and 6 in 2016 | 4 red and 2 blue, so 5"),
    ("n", (), "15", "At 0:15, there are 5 people."),
    ("n", (), "8", "Of the 8 balls, 5 are red."),
    ("n", (), "2", "There are 3 dogs, so choose 2 of them | 2 out of 5 | 3 + 2 = 5"),
    ("n", (), "2 h", "5 km in 2 hours"),
    ("n", (), "5 kg", "5 kg per day"),
    ("n", (), "3/4", "3 : 4"),
    ("n", (), "3.5", "35"),
    ("n", (), "-5", "5 | (5)"),
    ("n", (), "1200", "1.2 x 10^-3"),
    ("n", (), "25%", "25 out of 1000 | 100 out of 25"),
    ("n", (), "12:15 AM", "12:15 PM"),
    ("n", (), "10 AM", "10 PM"),
    ("n", (), "1999", "nineteen ninety-eight"),
    ("n", (), "19", "nineteen ninety-nine"),
    ("n", (), "24", "twenty twenty-four"),
    ("n", (), "1230", "twelve thirty"),
    ("n", (), "10 km/h", "每分钟10公里"),
    ("n", (), "5 g/cm^3", "5 g cm^-2"),
    ("n", (), "5 cm", "5 inches"),
    ("n", (), "$5", "5 euros"),
    ("o", (), "EXIT", 'The sign does not read "EXIT". | The sign reads "EXIT NOW". | NO EXIT'),
    ("o", (), "5", "Time: 5"),
    ("o", (), "ABC", "ABD"),
    ("o", (), "12:30", "12.30"),
    ("r", (), "0", "no"),
]


def scores(kind: str, options: tuple[str, ...], gold: str, answers: str, rules: str = "fixed") -> dict[str, float]:
    example = Example("e", "q", gold, KINDS[kind], options=options)
    said = answers.split(" | ")
    return {a: accuracy(example, f"<think>x</think><answer>{a}</answer>", rules=rules) for a in said}  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "options", "gold", "answers"), RIGHT)
def test_right_answers_earn_1(kind: str, options: tuple[str, ...], gold: str, answers: str) -> None:
    assert {a for a, score in scores(kind, options, gold, answers).items() if score != 1.0} == set()


@pytest.mark.parametrize(("kind", "options", "gold", "answers"), WRONG)
def test_wrong_answers_earn_0(kind: str, options: tuple[str, ...], gold: str, answers: str) -> None:
    assert {a for a, score in scores(kind, options, gold, answers).items() if score != 0.0} == set()


@pytest.mark.parametrize(
    "answer", ["90", "ninety", "In 2015, it was 90", "90 out of everything", "The value was 90 in 2015"]
)
def test_regression_reads_the_same_numbers(answer: str) -> None:
    assert scores("r", (), "100", answer) == {answer: 0.9}


@pytest.mark.parametrize("answer", ["10:30", "2 out of 5", "In 2015, the value was 5", "3 plus 2 equals 5"])
def test_video_r1s_rule_stays(answer: str) -> None:
    assert scores("n", (), "5", answer, rules="compat") == {answer: 0.0}


def test_times_of_day_are_gold_answers() -> None:
    for gold in ("10:30 AM", "3 PM", "下午3点45分", "오전 10시 30분", "15:45 Uhr"):
        check_gold(Example("e", "q", gold, "numerical"))
    with pytest.raises(UserError, match="holds no single number"):
        check_gold(Example("e", "q", "17:75 PM", "numerical"))


@pytest.mark.parametrize(
    "piece", ["3 plus ", "1 apple plus ", "in 2015 ", "10:30 ", "so 1, ", "x and 1 ", "m s^-1 ", "的"]
)
def test_no_sentence_takes_long(piece: str) -> None:
    start = time.thread_time()
    parse_number((piece * 200)[:199])
    assert time.thread_time() - start < 1.0
