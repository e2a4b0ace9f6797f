"""Numbers that an answer explains: "5 (3 red + 2 blue)" and "3 red and 2 blue, so 5" are 5."""

from __future__ import annotations

import re
from fractions import Fraction

_SAID = r"(?P<said>[-+]?\d[\d,]*(?:\.\d+)?)"
# the words between "so" and a number, and "3 + 2 ="
_TOLD = r"(?:(?!\b(?:of|than|option|question|part|choose|pick|select)\b)[^\d.?？,;，；-]){0,40}?"
_WORKED = r"(?:[\d.]+(?:\s*[-+×x*·/]\s*[\d.]+)+\s*=\s*)?"
_CONCLUDED = re.compile(
    rf".*\d.*(?:[,;，；.。:\n—]\s*(?:so|hence|thus|therefore|(?P<then>then)|altogether"
    r"|overall|in total|in all|making|giving"
    r"|that makes|which makes|which gives|the (?:total|answer|sum|result|count)(?: number)?\b"
    r"|(?:total|sum|answer|result)(?:\s*[:=]|(?= \d))"
    r"|所以|因此|一共|总共|共|合计)"
    rf"|\b(?:for|giving|making) a total of|\bin total[:,]?),?(?P<end>{_TOLD}{_WORKED}{_SAID}[^\d.?？]*)[.。!]?\s*",
    re.IGNORECASE | re.DOTALL,
)
_ALTOGETHER = r"(?:in total|in all|altogether|all together|overall|all told|total)"
_LEADING = (
    r"(?:(?:so|that is|that's|that makes|which is|which makes|making|for|for a total of|a total of|there are|it is|it's"
    r"|and) )*(?<![\d.,-])"
)
_TOTALLED = re.compile(
    rf"[^?？]*\d[^?？]*(?:[,;.:，；。：\n—-]|\band)\s*(?P<end>{_LEADING}{_SAID}(?P<things>(?: [^\W\d_]+){{0,3}}?)),?"
    rf" {_ALTOGETHER}[\s.!]*",
    re.IGNORECASE | re.DOTALL,
)
_IN_WORDS = re.compile(
    r"[^?？]{3,}?(?:[,;.:—]\s*|\b)(?:(?:so|hence|thus|therefore|making|that makes|which makes|for a total of)[,:]?"
    rf" (?P<so>[^\d?？,;.]{{2,40}}?)(?:,? {_ALTOGETHER})?"
    rf"|(?<=[,;:] )(?:and |that's )?(?P<total>[^\d?？,;.]{{2,40}}?),? {_ALTOGETHER})[\s.!]*",
    re.IGNORECASE | re.DOTALL,
)
_IN_ORDER = re.compile(r"\b(?:first|initially|originally|starts?|started|begins?|began)\b", re.IGNORECASE)
_TWICE = re.compile(
    r"(?P<one>[^()（）]*\d[^()（）]*?)\s*"
    r"(?:[(（](?P<inner>[^()（）]*\d[^()（）]*)[)）]|,? or (?P<other>.*\d.*))\s*[.。]?"
)
_EXPLAINED = re.compile(
    rf"(?P<end>\D{{0,40}}{_SAID}[^\d()（）:：,，;]{{0,30}}?)\s*"
    rf"(?:[(（:：]|[,;，]?\s*\b(?:because|since|as)\b|因为|(?<!\w){_ALTOGETHER}\s*[,;—-])(?P<parts>[^?？]*\d[^?？]*)",
    re.IGNORECASE | re.DOTALL,
)
_NUMBER = re.compile(r"(?<![\d.])\d+(?:\.\d+)?(?![\d.]*\d)")
_MORE = re.compile(r"\d (?:more|fewer|less)\b(?! than\b)", re.IGNORECASE)
_NOT_ADDED = re.compile(r"[-−*/×÷]\s*\d|\b(?:minus|less|times|or|not|without)\b|减|乘|或|不", re.IGNORECASE)
NO_NUMBER = re.compile(
    r"\b(?:none|neither|not one|not a single one|no one|nobody) of (?:(?:the|these|those|all|its|his|her) )*\d"
    r"|\d\s*[点點]\s*半|(?<![\d.,])(?:1\d|20)\d0['’]?s\b",
    re.IGNORECASE,
)
"""Matches text whose digits are not the number meant: "none of the 5", 5点半 (half past), "1990s"."""


def said_twice(text: str) -> tuple[str, str] | None:
    """Return the two forms of a number that a text gives, "2/5" and "40%" of "2/5 (40%)"; None where it gives none."""
    found = _TWICE.fullmatch(text)
    return (found["one"], found["inner"] or found["other"]) if found else None


def concluded_in_words(text: str) -> str | None:
    """Return the conclusion that a text draws without digits, "five" of "two red and three, so five"; else None."""
    found = _IN_WORDS.fullmatch(text)
    return (found["so"] or found["total"]) if found else None


def explained(text: str) -> str | None:
    """Return the part of an answer that states its number, where the rest says how it came about; else None.

    A conclusion at the end counts as it stands; parts behind the number only where they add up to it.
    """
    if found := _CONCLUDED.fullmatch(text):
        return None if found["then"] and _IN_ORDER.search(text) else found["end"]
    if found := _TOTALLED.fullmatch(text):  # "2 red, 3 blue in total" does not say what
        return found["end"] if not found["things"] or len(_NUMBER.findall(text[: found.start("end")])) > 1 else None
    found = _EXPLAINED.fullmatch(text)
    if found is None or _NOT_ADDED.search(found["parts"]):
        return None
    parts = [Fraction(part) for part in _NUMBER.findall(found["parts"])]
    said = Fraction(found["said"].replace(",", ""))
    total = parts[:-1] if len(parts) > 2 and sum(parts[:-1]) == parts[-1] else parts  # "3 + 2 = 5"
    if len(parts) == 2 and _MORE.search(found["end"]):  # "3 more (5 and 2)"
        return found["end"] if abs(parts[0] - parts[1]) == said else None
    return found["end"] if len(total) > 1 and sum(total) == said else None
