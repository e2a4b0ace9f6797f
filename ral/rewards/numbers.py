"""Numbers as people write them: units, percent, fractions, thousands separators, LaTeX, number words.

`parse_number` reads a text that holds exactly one number. A text with two ("5 or 6", "5-6") has none, a time ("3:45",
"2 h 30 min") is one.
Values are exact fractions, so that "0.1" equals "1/10" and integers can be compared without rounding.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from ral.rewards.latex import latex_value, plain_text
from ral.rewards.units import Unit, find_unit, read_duration

LONGEST_TEXT = 200  # characters; a numerical answer is short, and a long text is an argument, not an answer
LONGEST_NUMBER = 50  # characters of one number
LARGEST_EXPONENT = 330  # of ten: double precision ends at 1e308 and 5e-324

SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SHORT_SCALES = {"k": 10**3, "M": 10**6, "B": 10**9}  # joined to the digits: "5k", "2.5M"
_PART_WORDS = {"half", "halves", "third", "thirds", "quarter", "quarters", "fourth", "fourths", "fifth", "fifths"}
_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_TENS_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SMALL = {word: i for i, word in enumerate(f"{_ONES} seventeen eighteen nineteen".split())}
_TENS = {w: 10 * i for i, w in enumerate(_TENS_WORDS.split(), start=2)}

_DIGITS = r"(?:\d[\d.,']*|\.\d+)"
_TOKEN = re.compile(
    rf"(?<![A-Za-z0-9_^.])(?P<sign>(?<![)%°])[-+]\s*)?"
    rf"(?:(?P<whole>\d+)\s+(?P<part>\d+)\s*/\s*(?P<parts>\d+)"
    rf"|(?P<top>{_DIGITS})(?:e(?P<exponent>[-+]?\d+))?(?:\s*/\s*(?P<bottom>{_DIGITS}))?)",
    re.IGNORECASE,
)
_SCALE = re.compile(r"[kMB]\b(?!/)|(?i:\s*(?:hundred|thousand|million|billion|trillion)s?\b)")
_PERCENT = re.compile(r"\s*(?:%|percent\b|per cent\b|pct\b|percentage\b)", re.IGNORECASE)
_SPACED = re.compile(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?![\d/])(?!\s*/)")
_GROUPED = re.compile(r"[1-9]\d{0,2}(?:(?:,\d{3})+|(?:'\d{3})+)(?:\.\d+)?|[1-9]\d?(?:,\d{2})+,\d{3}(?:\.\d+)?")
_EUROPEAN = re.compile(r"[1-9]\d{0,2}(?:\.\d{3})+,\d+|[1-9]\d{0,2}(?:\.\d{3}){2,}|\d+,\d+")
_PLAIN = re.compile(r"\d+(?:\.\d+)?|\.\d+")


@dataclass(frozen=True)
class Number:
    """One number. value: as written, before percent and unit. whole: written as an integer, so to be met exactly."""

    value: Fraction
    whole: bool
    percent: bool = False
    unit: Unit | None = None


@lru_cache(maxsize=4096)
def parse_number(text: str) -> Number | None:
    """The one number in `text`; None where there is none, more than one, or a form that is not understood."""
    if len(text) > LONGEST_TEXT:
        return None
    plain = plain_text(text)
    if "\\" in plain or any(sign in plain for sign in "π√"):
        value = latex_value(text)
        return None if value is None else Number(value, whole=value.denominator == 1)
    if time := read_duration(plain):
        return Number(Fraction(time[0]), whole=True, unit=time[1])
    tokens = list(_TOKEN.finditer(join_spaced(plain)))
    if not tokens:
        return number_in_words(plain)
    return _from_token(tokens[0]) if len(tokens) == 1 else None


def join_spaced(text: str) -> str:
    """Thousands set apart by blanks put together: "1 234 567" -> "1234567"."""
    return _SPACED.sub(lambda match: match.group().replace(" ", ""), text)


def _from_token(token: re.Match[str]) -> Number | None:
    """The number a token stands for, with the percent sign, scale word and unit that follow it."""
    read = _token_value(token)
    rest = token.string[token.end() :]
    if read is None or re.match(r"\s*[\^*/_x×]\s*[-(]?\d", rest):
        return None
    value, whole = read
    if scale := _SCALE.match(rest):
        name = scale.group().strip()
        value *= _SHORT_SCALES.get(name) or SCALES[name.lower().removesuffix("s")]
        whole, rest = False, rest[scale.end() :]
    if _PERCENT.match(rest):
        return Number(value, whole, percent=True)
    return Number(value, whole, unit=find_unit(rest))


def _token_value(token: re.Match[str]) -> tuple[Fraction, bool] | None:
    """(value, written as an integer) of a token; None for a denominator of zero or digits that form no number."""
    sign = -1 if (token["sign"] or "").startswith("-") else 1
    if token["whole"]:
        return _mixed(sign, token["whole"], token["part"], token["parts"])
    top, exponent = read_digits(token["top"]), int(token["exponent"] or 0)
    bottom = read_digits(token["bottom"]) if token["bottom"] else (Fraction(1), True)
    if top is None or bottom is None or not bottom[0] or abs(exponent) > LARGEST_EXPONENT:
        return None
    value = sign * top[0] / bottom[0] * Fraction(10) ** exponent
    return value, top[1] and bottom[1] and not token["exponent"] and value.denominator == 1


def _mixed(sign: int, whole: str, part: str, parts: str) -> tuple[Fraction, bool] | None:
    """An integer and a fraction, as in "2 1/2"."""
    if max(len(whole), len(part), len(parts)) > LONGEST_NUMBER or not int(parts):
        return None
    value = sign * (int(whole) + Fraction(int(part), int(parts)))
    return value, value.denominator == 1


def read_digits(digits: str) -> tuple[Fraction, bool] | None:
    """(value, written without decimals) of digits with separators; None for "1.2.3" and the like.

    A comma or apostrophe before groups of three digits (or India's 2-2-3) parts thousands, otherwise a single comma is
    a decimal comma: "1,234" is 1234, "3,14" is 3.14, "1.234,5" is 1234.5.
    """
    digits = digits.rstrip(".,'")
    if len(digits) > LONGEST_NUMBER:
        return None
    if _GROUPED.fullmatch(digits):
        digits = digits.replace(",", "").replace("'", "")
    elif _EUROPEAN.fullmatch(digits):
        digits = digits.replace(".", "").replace(",", ".")
    return (Fraction(digits), "." not in digits) if _PLAIN.fullmatch(digits) else None


def number_in_words(text: str) -> Number | None:
    """ "seven", "twenty-one", "minus three", "five apples", "two million": a number word and at most one more word."""
    words = re.findall(r"[a-z]+", unicodedata.normalize("NFKC", text).lower())
    sign = -1 if words[:1] in (["minus"], ["negative"]) else 1
    words = words[1:] if sign < 0 else words
    if not words or words[0] not in _SMALL | _TENS:
        return None
    value = (_SMALL | _TENS)[words[0]]
    used = 1
    if words[0] in _TENS and len(words) > 1 and 1 <= _SMALL.get(words[1], 0) <= 9:
        value, used = value + _SMALL[words[1]], 2
    rest = words[used:]
    if len(rest) > 1 or any(word in _SMALL | _TENS or word in _PART_WORDS for word in rest):
        return None
    scale = SCALES.get(rest[0], 1) if rest else 1
    return Number(Fraction(sign * value * scale), whole=scale == 1, percent=rest == ["percent"])


def in_terms_of(gold: Number, answer: Number) -> list[Fraction]:
    """The values that `answer` may have in the units in which `gold` is written; [] where the units contradict.

    Known units are converted. Where one of the two has a percent sign and the other has none, both readings count:
    "50%" is met by "50" (the question asked for percent) and by "0.5" (the same number).
    """
    if gold.unit and answer.unit:
        if gold.unit[0] != answer.unit[0]:
            return []
        return [answer.value * answer.unit[1] / gold.unit[1]]
    if gold.percent == answer.percent:
        return [answer.value]
    return [answer.value, answer.value * 100 if gold.percent else answer.value / 100]
