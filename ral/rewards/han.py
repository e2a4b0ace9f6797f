"""Chinese and Japanese numerals: 三, 十二, 二百五十, 三万, "3万5千", 百分之五十, 三分之二."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from ral.rewards.halves import HAN_HALF, measure

_DIGITS = {
    c: n
    for n, cs in enumerate(("零〇○", "一壹", "二贰兩两", "三叁", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖"))
    for c in cs
}
_SMALL = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
_LARGE = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8, "兆": 10**12}
_D, _S, _L = "".join(_DIGITS), "".join(_SMALL), "".join(_LARGE)

_PREFIXED = r"(?![米克瓦卡赫帕焦伏安字牛兆])"  # 千克 is a kilogram
_UNIT = rf"(?:[{_S}{_L}]{_PREFIXED})"
_MIXED = re.compile(
    rf"(?<![\d.,])\d[\d,]*(?:\.\d+)?\s?{_UNIT}+(?:零?\d[\d,]*(?:\.\d+)?\s?{_UNIT}+)*(?:(?:零?\d{{2,}}|\d)(?![\d.,/%:年月日-]))?"
)
_LEAD = (
    r"(?:毫无疑问|毫無疑問|无疑|無疑|肯定|一定|显然|顯然|应该|應該"
    r"|答案|一共|总共|總共|共有|共|大约|大約|约|約|大概|图中|圖中|为|為|是|有|等于|第|[:,=\s])*"
)
_BODY = rf"[{_D}{_S}{_L}]+(?:点[{_D}]+)?"
_NO_NUMBER = rf"[^\d{_D}{_S}{_L}]"
_PLAIN = re.compile(rf"{_LEAD}([负負]|零下)?({_BODY})(?![些样樣起直般定切致旦者])({_NO_NUMBER}{{0,8}})")
_PERCENT = re.compile(rf"{_LEAD}([负負]?)百分之({_BODY}|\d+(?:\.\d+)?)[。.\s]*")
_TENTHS = re.compile(rf"{_LEAD}({_BODY}|\d+(?:\.\d+)?)[成割]([{_D}\d半]?)(?![员員立功为為本])[。.\s]*")
_PART = re.compile(rf"{_LEAD}([负負]?)({_BODY}|\d+)分之({_BODY}|\d+)[。.\s]*")
_NO_VERB = "(?![开開电電印扫掃算球架字破击擊包折败敗断斷工])"
_DOZENS = re.compile(rf"{_LEAD}([负負]?)(半|{_BODY})打(半)?{_NO_VERB}({_NO_NUMBER}{{0,8}})")
_PERCENT_IN_DIGITS = re.compile(r"百分之\s?(\d+(?:\.\d+)?)(?![\d.]*[%/])")
_PART_IN_DIGITS = re.compile(r"(?<![\d.,/])([1-9]\d*)\s?分之\s?(\d+)(?![\d.,]*[\d%/])")
_COUNTED_DOZENS = re.compile(rf"(?<![\d.,])(\d+)\s?打(半)?{_NO_VERB}")
_TOKEN = re.compile(rf"\d[\d,]*(?:\.\d+)?|[{_D}]+|[{_S}]|[{_L}]")


class Han(NamedTuple):
    """A number in Chinese numerals.

    value: in percent where `percent` is True. whole: whether it has to be met exactly; False for halves and where a
    large unit such as 万 may round. rest: the text behind the number, such as a unit.
    """

    value: Fraction
    whole: bool
    percent: bool
    rest: str


def join_han(text: str) -> tuple[str, bool]:
    """Return (the text with its numbers of digits and numerals in digits alone, whether one had a numeral of scale).

    3万5千 becomes 35000, 百分之33 becomes 33%, 3分之2 becomes 2/3, and 2打 becomes 24. The second value is True for the
    first of these alone: digits before a numeral of scale such as 万.
    """
    text = _PART_IN_DIGITS.sub(r"\2/\1", _PERCENT_IN_DIGITS.sub(r"\1%", text))
    text = _COUNTED_DOZENS.sub(lambda match: _decimal(_dozens(match[1], match[2])), text)
    return _MIXED.sub(lambda match: _decimal(_value(match[0])), text), _MIXED.search(text) is not None


def read_han(text: str) -> Han | None:
    """Return the number of a text that is nothing else but words such as 答案是 before it and a unit behind.

    None for any other text.
    """
    if found := _PERCENT.fullmatch(text):
        return _exact(_signed(found[1], _value(found[2])), percent=True)
    if found := _TENTHS.fullmatch(text):
        return _exact(10 * _value(found[1]) + (5 if found[2] == "半" else _value(found[2] or "0")), percent=True)
    if found := _PART.fullmatch(text):
        below = _value(found[2])
        return _exact(_signed(found[1], _value(found[3]) / below), percent=False) if below else None
    if found := _DOZENS.fullmatch(text):
        value = _dozens(found[2], found[3])
        return Han(_signed(found[1], value), value.denominator == 1, False, found[4])
    found = _PLAIN.fullmatch(text)
    if found is None or not any(c in _DIGITS or c in "十拾" for c in found[2]):
        return None
    value = _signed(found[1], _value(found[2]))
    if half := re.match(HAN_HALF, found[3]):
        return Han(value + Fraction(1, 2), False, False, measure(half[0]) + found[3][half.end() :])
    if found[2] == "一" and found[3].startswith("半"):
        return Han(value / 2, False, False, found[3][1:])
    return Han(value, value.denominator == 1 and found[2][-1] not in _LARGE, False, found[3])


def _exact(value: Fraction, *, percent: bool) -> Han:
    """Return a number without a unit, to be met exactly where it is an integer."""
    return Han(value, value.denominator == 1, percent, "")


def _dozens(count: str, half: str | None) -> Fraction:
    """Return the value of 一打, 半打 or, with a half behind it, 两打半."""
    return 12 * (Fraction(1, 2) if count == "半" else _value(count)) + (6 if half else 0)


def _signed(sign: str | None, value: Fraction) -> Fraction:
    return -value if sign else value


def _value(numeral: str) -> Fraction:
    """Return the value of a run of digits and numerals.

    A last digit right behind a scale of 100 or more counts a tenth of that: 一百二 is 120, 三万五 is 35000.
    """
    numeral, _, decimals = numeral.partition("点")
    total, section, number = Fraction(0), Fraction(0), None
    tokens = _TOKEN.findall(numeral)
    for token in tokens:
        if token in _SMALL:
            section, number = section + (1 if number is None else number) * _SMALL[token], None
        elif token in _LARGE:
            section += number or 0
            total, section, number = (
                (total + section) * _LARGE[token]
                if not section or total < section
                else total + section * _LARGE[token],
                Fraction(0),
                None,
            )
        else:
            number = _digits(token)
    scale = (_SMALL | _LARGE).get(tokens[-2], 1) if len(tokens) > 1 and not decimals else 1
    if number and scale >= 100 and len(tokens[-1]) == 1:
        number *= scale // 10
    value = total + section + (number or 0)
    return value + (_digits(decimals) / 10 ** len(decimals) if decimals else 0)


def _digits(token: str) -> Fraction:
    return Fraction("".join(str(_DIGITS.get(c, c)) for c in token.replace(",", "")))


def _decimal(value: Fraction) -> str:
    """Return a value whose denominator is a power of ten, in digits."""
    return f"{Decimal(value.numerator) / Decimal(value.denominator):f}"
