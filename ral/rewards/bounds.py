"""Words and signs that make a number the bound of another: "more than 5", "5+", "5 < x", 超过5, 5以上."""

from __future__ import annotations

import re

_MORE = (
    r"(?:>=?|≥|\b(?:(?:more|greater|larger|higher|bigger|longer) than|at least|over|above|no less than|exceed\w*"
    r"|upwards? of|in excess of|north of"
    r"|más de|mais de|plus de|più di|mehr als|mindestens|al menos|por lo menos|pelo menos|au moins|almeno"
    r"|более|больше|не менее)"
    r"|(?:(?<!不)(?:超过|超過|多于|多於|大于|大於|高于|高於)|至少|最少|起码|起碼|不少于|不少於|不小于|不小於|不低于"
    r"|不低於|不止|不只)(?:有|是|为|為)?)"
)
_LESS = (
    r"(?:<=?|≤|\b(?:(?:less|fewer|smaller|lower|shorter) than|at most|under|below|up to|no more than"
    r"|menos de|moins de|meno di|weniger als|höchstens|como máximo|no máximo|au plus|al massimo"
    r"|менее|меньше|не более)"
    r"|(?:(?<!不)(?:少于|少於|小于|小於|低于|低於)|不到|不足|未满|未滿|最多|至多|顶多|頂多|不超过|不超過|不多于|不多於"
    r"|不大于|不大於|不高于|不高於)(?:有|是|为|為)?)"
)
_AHEAD = (
    (">", re.compile(rf"{_MORE}\W*$", re.IGNORECASE)),
    ("<", re.compile(rf"{_LESS}\W*$", re.IGNORECASE)),
    ("±", re.compile(r"±\s*$")),
)
_THING = r"\s*[\u4e00-\u9fff]{0,3}?"  # what is counted
_OR_MORE = re.compile(
    rf"\s*(?:\+(?!\s*\d)|(?:\w+ )?or (?:more|above|over|higher|greater)\b"
    r"|[\s-]plus\b(?!\s*[\d(])|(?:\s[^\W\d_]+)?,? (?:at (?:the )?(?:very )?least)\b(?=[\s.!]*$)"
    rf"|(?: \w+)? and (?:more|above|over|up|upwards?|counting)\b(?=[\s.!]*$))|{_THING}以上"
    r"|\s*[个個只隻人名位年天岁歲块塊米元次分秒]?(?:多(?![边邊项項变變样樣云雲])|[几幾])|\s*\w? ?(?:이상|초과)",
    re.IGNORECASE,
)
_OR_LESS = re.compile(
    rf"\s*(?:\w+ )?or (?:less|fewer|below|under|lower)\b"
    r"|(?:\s[^\W\d_]+)?,? (?:at (?:the )?(?:very )?most|tops)\b(?=[\s.!]*$)"
    rf"|{_THING}(?:以下|以内|以內|之内|之內|未満|未满)"
    r"|\s*\w? ?(?:이하|미만)",
    re.IGNORECASE,
)
_MIRRORED = re.compile(r"\s*(?:([>≥])|([<≤]))=?\s*[^\W\d]")


def bound(head: str, rest: str) -> str:
    """Return the kind of bound that the text around a number makes of it: ">" for "more than 5" and "5+", "<" for "less
    than 5", "±" for "±5", "" where it is no bound.

    head: the text in front of the number. rest: the text behind it.
    """
    if before := next((name for name, pattern in _AHEAD if pattern.search(head)), ""):
        return before
    if "=" not in head and (mirrored := _MIRRORED.match(rest)):
        return "<" if mirrored[1] else ">"
    return ">" if _OR_MORE.match(rest) else "<" if _OR_LESS.match(rest) else ""
