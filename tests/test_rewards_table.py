"""Answers judged by hand, before the rules were run on them: (gold, answer, expected score) by problem type."""

from __future__ import annotations

import pytest

from ral.rewards.accuracy import accuracy
from ral.types import Example

COLORS = ("A. red", "B. blue", "C. A dark green", "D. B")
AREAS = ("(A) 5 cm", "(B) 50 cm", "(C) 5,000 cm", "(D) none of the above")
BARE = ("yes", "no")
LONG = "word " * 20_000

# (options, gold, answer, right?)
CHOICES = [
    (COLORS, "B", "B", True),
    (COLORS, "B", "b", True),
    (COLORS, "B", "B.", True),
    (COLORS, "B", "(B)", True),
    (COLORS, "B", "(b).", True),
    (COLORS, "B", "[B]", True),
    (COLORS, "B", "B)", True),
    (COLORS, "B", "B:", True),
    (COLORS, "B", " \n B \t", True),
    (COLORS, "B", "B. blue", True),
    (COLORS, "B", "b. BLUE", True),
    (COLORS, "B", "B: blue", True),
    (COLORS, "B", "(B) blue", True),
    (COLORS, "B", "B) blue.", True),
    (COLORS, "B", "B blue", True),
    (COLORS, "B", "blue", True),
    (COLORS, "B", "Blue.", True),
    (COLORS, "B", "B. it is the blue one", True),
    (COLORS, "B", "Option B", True),
    (COLORS, "B", "Answer: B", True),
    (COLORS, "B", "The correct answer is B.", True),
    (COLORS, "B", "the answer is (B) blue", True),
    (COLORS, "B", "**B**", True),
    (COLORS, "B", r"\boxed{B}", True),
    (COLORS, "B", r"$\boxed{\text{B}}$", True),
    (COLORS, "B", "`B`", True),
    (COLORS, "B", '"B"', True),
    (COLORS, "B", "Ｂ", True),  # full-width letter
    (COLORS, "B", "（Ｂ）", True),
    (COLORS, "B", "B、blue", True),
    (COLORS, "B.", "B", True),
    (COLORS, "(B)", "b", True),
    (COLORS, "B. blue", "B", True),
    (COLORS, "blue", "B", True),
    (COLORS, "B", "A", False),
    (COLORS, "B", "C", False),
    (COLORS, "B", "A. blue", False),
    (COLORS, "B", "B. red", False),  # letter and text contradict each other
    (COLORS, "B", "A, B", False),
    (COLORS, "B", "B or C", False),
    (COLORS, "B", "B. C. D.", False),
    (COLORS, "B", "B. or A.", False),
    (COLORS, "B", "AB", False),
    (COLORS, "B", "ABCD", False),
    (COLORS, "B", "not B", False),
    (COLORS, "B", "В", False),  # Cyrillic
    (COLORS, "B", "8", False),
    (COLORS, "B", "", False),
    (COLORS, "B", "?", False),
    (COLORS, "B", "bluebell", False),
    (COLORS, "B", "Big", False),
    (COLORS, "B", LONG, False),
    (COLORS, "B", "!" * 50_000, False),
    (COLORS, "B", "D. B", False),  # the whole of option D
    (COLORS, "D", "D. B", True),
    (COLORS, "D", "B", False),  # a letter alone is a letter
    (COLORS, "C", "A dark green", True),  # "A" is an article here
    (COLORS, "A", "A dark green", False),
    (COLORS, "C", "C. a dark green", True),
    (COLORS, "A", "a", True),
    (AREAS, "C", "5,000 cm", True),
    (AREAS, "A", "5 cm", True),
    (AREAS, "A", "50 cm", False),
    (AREAS, "D", "None of the above.", True),
    (AREAS, "D", "(D) none of the above", True),
    (BARE, "A", "yes", True),
    (BARE, "A", "A", True),
    (BARE, "yes", "A. yes", True),
    (BARE, "no", "A", False),
    ((), "C", "(c)", True),
    ((), "C", "C. whatever it says", True),
    ((), "C", "D", False),
    (("A. am", "B. p.m."), "B", "p.m.", True),
    (("A. answer the phone", "B. leave"), "A", "answer the phone", True),
    (("A. 左", "B. 右"), "B", "右", True),
]

# (gold, answer, right?)
NUMBERS = [
    # integers: exactly
    ("42", "42", True),
    ("42", " 42 ", True),
    ("42", "42.", True),
    ("42", "42.0", True),
    ("42", "+42", True),
    ("42", "042", True),
    ("42", "43", False),
    ("42", "42.3", False),
    ("42", "-42", False),
    ("42", "4 2", False),
    ("1000", "1001", False),  # within one percent, but not equal
    ("0", "0", True),
    ("0", "0.0", True),
    ("0", "0.001", False),
    ("-7", "-7", True),
    ("-7", "−7", True),  # Unicode minus
    ("-7", "- 7", True),
    ("-7", "minus 7", True),
    ("-7", "negative seven", True),
    ("-7", "7", False),
    ("7", "seven", True),
    ("7", "Seven apples", True),
    ("21", "twenty-one", True),
    ("21", "twenty", False),
    ("2", "two thirds", False),
    ("2", "two or three", False),
    # decimals: 1e-2 relative
    ("3.14", "3.14", True),
    ("3.14", "3.1416", True),
    ("3.14", "3.2", False),
    ("3.14", "3", False),
    ("0.5", ".5", True),
    ("0.5", "0,5", True),
    ("100.0", "101", True),
    ("100.0", "101.1", False),
    ("0.0", "0", True),
    ("-2.5", "-2.51", True),
    # separators
    ("1234567", "1,234,567", True),
    ("1,234,567", "1234567", True),
    ("1234567", "1 234 567", True),
    ("1234567", "1 234 567", True),  # narrow blanks
    ("1234567", "1'234'567", True),
    ("1234567", "1.234.567", True),
    ("1234567", "12,34,567", True),  # India
    ("1234.5", "1,234.5", True),
    ("1234.5", "1.234,5", True),
    ("1234", "1,234.", True),
    ("1234", "1,2,3,4", False),
    ("314", "3,14", False),
    ("5000", r"5{,}000", True),
    # several numbers are no answer
    ("5", "5 or 6", False),
    ("5", "5, 6", False),
    ("5", "5-6", False),
    ("5", "5–6", False),
    ("3", "1 2 3 4", False),
    ("3", "3:45", False),
    ("192", "192.168.1.1", False),
    ("5", "2+3", False),
    ("8", "2^3", False),
    ("2", "2^3", False),
    # units
    ("5", "5 cm", True),
    ("5 cm", "5", True),
    ("5 cm", "5cm", True),
    ("5 cm", "50 mm", True),
    ("5 cm", "0.05 m", True),
    ("5 cm", "5 m", False),
    ("5 cm", "5 kg", False),
    ("12 apples", "12", True),
    ("12", "There are 12 apples.", True),
    ("12", "12 apples on 1 tree", False),
    ("25", "25 m²", True),
    ("25 m^2", "25 square meters", True),
    ("25 m^2", "250000 cm^2", True),
    ("25 m^2", "25 m", False),
    ("2 hours", "120 minutes", True),
    ("2 hours", "2 minutes", False),
    ("90", "90°", True),
    ("25", "25 °C", True),
    ("25 °C", "25 ℃", True),
    ("25 °C", "25 °F", False),
    ("36 km/h", "10 m/s", True),
    ("5", "$5", True),
    ("5", "5 €", True),
    ("5.00", "$5.00", True),
    ("-5", "-$5", True),
    ("1500", "$1,500", True),
    ("5", "x = 5", True),
    ("5", "≈ 5", True),
    ("3000000", "3 million", True),
    ("3 million", "3,000,000", True),
    ("3 million", "3", False),
    ("5000", "5k", True),
    ("2500000", "2.5M", True),
    ("2", "CO2", False),
    # percent
    ("50%", "50%", True),
    ("50%", "50 %", True),
    ("50%", "50 percent", True),
    ("50%", "50", True),
    ("50%", "0.5", True),
    ("50%", "1/2", True),
    ("50", "50%", True),
    ("0.5", "50%", True),
    ("50%", "0.5%", False),
    ("50", "0.5", False),
    ("50%", "51%", False),
    ("12.5%", "12.5 ％", True),  # full-width sign
    ("50%", r"50\%", True),
    # fractions
    ("3/4", "0.75", True),
    ("0.75", "3/4", True),
    ("3/4", "3 / 4", True),
    ("3/4", "6/8", True),
    ("3/4", "¾", True),
    ("3/4", "4/3", False),
    ("1/3", "0.333", True),
    ("2.5", "2 1/2", True),
    ("2.5", "2½", True),
    ("3", "6/2", True),
    ("-3/4", "-0.75", True),
    ("3", "3/0", False),
    ("3", "3/4/2020", False),
    # powers of ten
    ("300000", "3e5", True),
    ("300000", "3×10^5", True),
    ("300000", "3 x 10⁵", True),
    ("0.001", "1e-3", True),
    ("0.001", "10^-3", True),
    ("1e5", "100000", True),
    ("5", "1e999999999", False),
    # LaTeX
    ("0.75", r"\frac{3}{4}", True),
    ("0.75", r"$\dfrac{3}{4}$", True),
    ("0.75", r"\frac34", True),
    ("-0.75", r"-\frac{3}{4}", True),
    (r"\frac{3}{4}", "0.75", True),
    ("1.5", r"1\frac{1}{2}", True),
    ("42", r"\boxed{42}", True),
    ("42", r"$\boxed{42}$", True),
    ("42", r"\(42\)", True),
    ("5", r"5\text{ cm}", True),
    ("5 m", r"5\,\mathrm{cm}", False),
    ("25 cm^2", r"25\text{ cm}^2", True),
    ("90", r"90^\circ", True),
    ("300000", r"3 \times 10^{5}", True),
    ("4", r"\sqrt{16}", True),
    ("4", r"$\sqrt{16}$", True),
    ("1.414", r"\sqrt{2}", True),
    ("1.414", "√2", True),
    ("6.28", r"2\pi", True),
    ("6.28", "2π", True),
    (r"2\pi", "6.283", True),
    (r"x = \frac{\sqrt{3}}{2}", "0.866", True),
    ("2", r"\sqrt{16}", False),
    ("8", r"$2^{3} \cdot \sqrt{1}$", True),
    ("5", r"\frac{1}{0} \sqrt{1}", False),
    ("5", r"\sqrt{-25}", False),
    ("5", r"\sqrt{9^{9^{9}}}", False),
    ("5", r"\sqrt{x}", False),
    ("5", r"\frac{5}{\sqrt{2}-\sqrt{2}}", False),
    ("5", r"\sqrt{25}^{999}", False),
    ("16", "0x10", False),
    ("1", "1_000", False),
    ("5", "5 x 3", False),
    ("10", "50% of 20", False),
    # nothing to read
    ("5", "", False),
    ("5", "five or six", False),
    ("5", "none", False),
    ("5", "nan", False),
    ("5", "inf", False),
    ("5", "٥", True),  # Arabic-Indic five
    ("5", "5" * 5000, False),
    ("5", "5 " * 5000, False),
    ("5", "so " * 50_000 + "5", False),
]

# (gold, answer, score)
TEXTS = [
    ("OCR", "NO PARKING", "NO PARKING", 1.0),
    ("OCR", "NO PARKING", "no  parking\n", 1.0),
    ("OCR", "NO PARKING", "no", 0.5),
    ("OCR", "NO PARKING", "no smoking", 0.5),
    ("OCR", "NO PARKING", "", 0.0),
    ("OCR", "NO PARKING", "a b c d e f", 0.0),
    ("OCR", "one two three four", "one two three five", 0.75),
    ("OCR", "one two three four", "one two three four five", 0.75),
    ("OCR", "Straße", "STRASSE", 1.0),
    ("OCR", "café", "cafe\u0301", 1.0),
    ("OCR", "停车", "停车", 1.0),
    ("OCR", "stop", LONG, 0.0),
    ("free-form", "red", "red", 1.0),
    ("free-form", "red", "Red.", 1.0),
    ("free-form", "red", " RED ! ", 1.0),
    ("free-form", "red", "blue", 0.0),
    ("free-form", "red", "", 0.0),
    ("free-form", "红色", "红色。", 1.0),
    ("free-form", "红色", "蓝色", 0.0),
    ("free-form", "it's red", "its red", 1.0),
    ("free-form", "-5", "-5.", 1.0),
    ("free-form", "3.5", "35", 0.0),
    ("free-form", "a red ball", "a red ball", 1.0),
    ("free-form", "running dogs", "run dog", 1.0),  # stems
    # unigrams: precision 1, recall 2/3, F 0.8; bigrams: precision 1, recall 1/2, F 2/3; longest common run: 0.8
    ("free-form", "a red ball", "a red", (0.8 + 2 / 3 + 0.8) / 3),
    # one of two unigrams: F 2/3, no bigram, longest common run F 2/3
    ("free-form", "red", "dark red", (2 / 3 + 0 + 2 / 3) / 3),
    # both unigrams, no common bigram, longest common run of one: F 1/2
    ("free-form", "red ball", "ball red", (1 + 0 + 0.5) / 3),
    ("free-form", "red", "!" * 50_000, 0.0),
    ("regression", "100", "100", 1.0),
    ("regression", "100", "90", 0.9),
    ("regression", "100", "110", 0.9),
    ("regression", "100", "250", 0.0),
    ("regression", "100", "-100", 0.0),
    ("regression", "-100", "-75", 0.75),
    ("regression", "0", "0", 1.0),
    ("regression", "0", "0.1", 0.0),
    ("regression", "2.0 m", "1.5", 0.75),
    ("regression", "2 m", "150 cm", 0.75),
    ("regression", "2 m", "2 kg", 0.0),
    ("regression", "1,000", "900", 0.9),
    ("regression", "50%", "40", 0.8),
    ("regression", "50%", "0.4", 0.8),
    ("regression", "1/2", "0.4", 0.8),
    ("regression", "100", "about", 0.0),
    ("regression", "100", "nan", 0.0),
    ("regression", "100", "90 or 110", 0.0),
    ("regression", "100", "", 0.0),
    ("regression", "100", "1" * 10_000, 0.0),
]

# (problem type, gold, answer, score) by the published rules
PUBLISHED = [
    ("multiple choice", "B", "B", 1.0),
    ("multiple choice", "B", " B\n", 1.0),
    ("multiple choice", "B", "b", 0.0),
    ("multiple choice", "B", "B.", 0.0),
    ("multiple choice", "B", "(B)", 0.0),
    ("multiple choice", "B", "B. blue", 0.0),
    ("multiple choice", "B.", "B.", 1.0),
    ("numerical", "5", "5", 1.0),
    ("numerical", "5", "5.0", 0.0),
    ("numerical", "5.0", "5", 0.0),
    ("numerical", "5.0", "5.00", 1.0),
    ("numerical", "3.14", "3.141", 1.0),
    ("numerical", "3.14", "3.15", 0.0),
    ("numerical", "1,234", "1234.0", 1.0),
    ("numerical", "1,234", "1234", 0.0),
    ("numerical", "3.14", "314,", 0.0),
    ("numerical", "314.0", "3,14", 1.0),
    ("numerical", "5", "5 cm", 0.0),
    ("numerical", "50%", "50%", 0.0),
    ("numerical", "3/4", "3/4", 0.0),
    ("numerical", "5", "five", 0.0),
    ("numerical", "5", "nan", 0.0),
    ("numerical", "5", "", 0.0),
    ("OCR", "NO PARKING", "NO PARKING", 1.0),
    ("OCR", "NO PARKING", "NO  PARKING", 1.0),
    ("OCR", "NO PARKING", "no PARKING", 0.5),
    ("OCR", "NO PARKING", "a b c d e", 0.0),
    ("OCR", "NO", "", 0.0),
    ("free-form", "red", "red", 2 / 3),
    ("free-form", "red", "Red.", 2 / 3),
    ("free-form", "a red ball", "a red ball", 1.0),
    ("free-form", "红色", "红色", 0.0),
    ("regression", "100", "90", 0.9),
    ("regression", "100", "100", 1.0),
    ("regression", "1,000", "900", 0.9),
    ("regression", "100", "90 cm", 0.0),
    ("regression", "100", "300", 0.0),
    ("regression", "100", "inf", 0.0),
    ("regression", "100", "nan", 1.0),
    ("regression", "0", "0", 0.0),
    ("regression", "two", "two", 0.0),
    ("riddle", "x", "x", 0.0),
]


def score(kind: str, gold: str, answer: str, options: tuple[str, ...] = (), rules: str = "fixed") -> float:
    example = Example(uid="1", question="?", answer=gold, problem_type=kind, options=options, source="t.json entry 1")
    return accuracy(example, f"<think>hm</think>\n<answer>{answer}</answer>", rules=rules)  # type: ignore[arg-type]


def test_table_is_large_enough() -> None:
    assert len(CHOICES) + len(NUMBERS) + len(TEXTS) >= 250


@pytest.mark.parametrize(("options", "gold", "answer", "right"), CHOICES, ids=lambda v: repr(v)[:30])
def test_multiple_choice(options: tuple[str, ...], gold: str, answer: str, right: bool) -> None:
    assert score("multiple choice", gold, answer, options) == float(right)


@pytest.mark.parametrize(("gold", "answer", "right"), NUMBERS, ids=lambda v: repr(v)[:30])
def test_numerical(gold: str, answer: str, right: bool) -> None:
    assert score("numerical", gold, answer) == float(right)


@pytest.mark.parametrize(("kind", "gold", "answer", "expected"), TEXTS, ids=lambda v: repr(v)[:30])
def test_graded_types(kind: str, gold: str, answer: str, expected: float) -> None:
    assert score(kind, gold, answer) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("kind", "gold", "answer", "expected"), PUBLISHED, ids=lambda v: repr(v)[:30])
def test_published_rules(kind: str, gold: str, answer: str, expected: float) -> None:
    assert score(kind, gold, answer, rules="compat") == pytest.approx(expected, abs=1e-8)
