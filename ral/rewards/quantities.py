"""Quantities in several units, written as one: "2 h 30 min", "5 ft 6 in", 5'6", 1米75, "$5 and 50 cents"."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction

from ral.rewards.units import UNITS

_LOCAL = {"分": "分钟", "分鐘": "分钟", "时": "小时", "小時": "小时", "秒鐘": "秒", "個月": "个月"}
_LATIN = "|".join(
    sorted((re.escape(name) for name in UNITS if name.isascii() and name.isalpha()), key=len, reverse=True)
)
_HAN = "|".join(sorted((n for n in (*UNITS, *_LOCAL) if "\u4e00" <= n[0] <= "\u9fff"), key=len, reverse=True))
_NAME = rf"(?:(?:{_LATIN})(?![^\W\d_])\.?|个?(?:{_HAN}))"
_JOINT = r"[\s,]*(?:and\s+|&\s*|又|零)?"
_PARTS = re.compile(
    rf"(?<![\w.,/^-])(?<!- )\d+\s*-?{_NAME}(?:{_JOINT}\d+(?:\.\d+)?\s*-?{_NAME}){{1,3}}(?![\d^/²³])", re.IGNORECASE
)
_PART = re.compile(rf"(\d+(?:\.\d+)?)\s*-?({_NAME})", re.IGNORECASE)
_ENDS = r"(?=\s*(?:$|[,;!?)]|\.(?!\d)|tall|high|long))"
_FEET = re.compile(
    r"(?<![\w.,'/^-])(\d{1,2})(?:\s*'\s*-?|[\s-]*(?:foot|feet|ft)\.?[\s-]*)(1[01]|\d)"
    rf"(?:(\.\d+)?\s*(?:\"|''|”)|{_ENDS})",
    re.IGNORECASE,
)
_ANGLE = re.compile(r"(?<![\w.,/^])(\d{1,3})\s*°\s*([0-5]?\d)\s*'(?:\s*([0-5]?\d)\s*(?:\"|''|”))?")
_SHORT = re.compile(r"(?<![\w.,/^-])(\d+)(h|米|m)(\d{2})(?![\w.,/^]|\s*\d)")
_HOURS = re.compile(
    r"(?<![\w.,/^-])(\d+)\s*(?:h|hrs?|hours?|小时|小時)\s*(?:and\s+)?([0-5]?\d)(?![\w/^:%°'\"]|[.,]\d|\s*[^\W_]|\s*[%°/*×+=-])"
)
_NUMBER = r"\d[\d.,]*|[零〇一二两兩三四五六七八九十百千万]+"
_EACH = {
    "每小时": "小时",
    "每小時": "小时",
    "每分钟": "分钟",
    "每分鐘": "分钟",
    "每秒": "秒",
    "每秒钟": "秒",
    "每天": "天",
}
_EACH |= {"时速": "小时", "時速": "小时", "시속": "小时", "分速": "分钟", "분속": "分钟", "秒速": "秒", "초속": "秒"}
_KILOMETRES = {"킬로미터": "km", "미터": "m", "キロメートル": "km", "キロ": "km", "メートル": "m"}
_RATE = re.compile(
    rf"(?P<each>{'|'.join(sorted(_EACH, key=len, reverse=True))})[^\d\W]{{0,4}}?[:：\s]*?(?P<number>{_NUMBER})\s*-?"
    rf"(?P<unit>{_NAME}|{'|'.join(_KILOMETRES)})",
    re.IGNORECASE,
)
_SHORTENED = {"h": "min", "米": "厘米", "m": "cm"}
_CENTS = re.compile(
    r"(?<![\d.,])(\d+)(?:\.0+)?(\s*(?:dollars?|euros?|bucks?|pounds?|€|£))?,?\s+(?:and\s+)?(\d{1,2})\s*(?:¢|(?:cents?|pence)\b)",
    re.IGNORECASE,
)
_KUAI = re.compile(r"(?<![\d.,])(\d+)\s*([块塊])(\d)(?![\d角毛])")
_JIAO = re.compile(r"(?<![\d.,])(\d+)\s*([元块塊])\s*(\d)\s*[角毛](?:\s*(\d)\s*分)?")


def join_rates(text: str) -> str:
    """Return a text with Chinese, Japanese and Korean rates written with a slash: "10公里/小时" for 每小时10公里."""
    return _RATE.sub(
        lambda found: f"{found['number']}{_KILOMETRES.get(found['unit'], found['unit'])}/{_EACH[found['each']]}", text
    )


def join_money(text: str) -> str:
    """Return a text with "$5.50" for "$5 and 50 cents", and 5.5元 for 5元5角."""
    text = _KUAI.sub(r"\1.\3\2", text)
    text = _JIAO.sub(lambda m: f"{m[1]}.{m[3]}{m[4] or ''}{m[2]}", text)
    for match in reversed(list(_CENTS.finditer(text))):
        ahead = text[: match.start()].rstrip()
        if match[2] or ahead.endswith(("$", "€", "£")):
            text = f"{text[: match.start()]}{match[1]}.{match[3]:0>2}{match[2] or ''}{text[match.end() :]}"
    return text


def join_quantities(text: str) -> str:
    """Return a text with quantities in several units as one number of the smallest unit: "66/1 in" for "5 ft 6 in"."""
    text = _ANGLE.sub(lambda m: f"{_exact(_degrees(m))}°", text)
    text = _FEET.sub(lambda m: f"{_exact(12 * int(m[1]) + Fraction(m[2] + (m[3] or '')))} in", text)
    text = _HOURS.sub(r"\1 h \2 min", text)
    text = _SHORT.sub(lambda m: f"{m[1]} {m[2]} {m[3]} {_SHORTENED[m[2]]}", text)
    return _PARTS.sub(lambda m: _joined(m[0]) or m[0], text)


def _degrees(angle: re.Match[str]) -> Fraction:
    """Return the degrees of 30°15'36"."""
    return int(angle[1]) + Fraction(int(angle[2]), 60) + Fraction(int(angle[3] or 0), 3600)


def _joined(text: str) -> str | None:
    """Return "66/1 in" for "5 ft 6 in".

    None where the units are of two kinds or do not get smaller, or where a part would fill the unit above it.
    """
    pairs = _PART.findall(text)
    names = [_spelled(name) for _, name in pairs]
    if names[0] in ("pound", "pounds") and names[1] in ("oz", "ounce", "ounces"):
        names[0] = "lb"
    names = ["min" if n == "m" and names[0] in ("h", "hr", "hrs", "hour", "hours") else n for n in names]
    units = [UNITS.get(name) for name in names]
    known = [unit for unit in units if unit is not None]
    if len(known) < len(units) or len({unit.dimension for unit in known}) > 1:
        return None
    numbers = [Fraction(number) for number, _ in pairs]
    for (above, below), number in zip(itertools.pairwise(known), numbers[1:], strict=True):
        steps = above.size / below.size
        if steps.denominator > 1 or steps < 2 or number >= steps:
            return None
    total = sum(n * unit.size for n, unit in zip(numbers, known, strict=True)) / known[-1].size
    return f"{_exact(total)} {names[-1]}"


def _spelled(name: str) -> str:
    """Return a unit's name as the table of units has it."""
    name = name.lower().rstrip(".")
    name = name if name in UNITS else name.removeprefix("个")
    return _LOCAL.get(name, name)


def _exact(value: Fraction) -> str:
    """Return a value written as a fraction, which is never read as a rounded number."""
    return f"{value.numerator}/{value.denominator}"
