"""Symbols that change what a text says: the + of C++, the < of x < y, $, %, the point of 3.5, the minus of -1.

Marks of punctuation (at ends, quotes, hyphens of words, brackets, slashes between words, Markdown) change nothing.
"""

from __future__ import annotations

import re
import unicodedata
from functools import partial

SIGN = "\ue000-\uf8ff"
"""Signs as `with_signs` writes them, for the inside of a character class; of the private use area."""

_FIRST, _PLACES = 0xE000, 0x1900
_ACCENTS = re.compile(r"(?<=[A-Za-z])[\u0300-\u036f]+")  # of Latin letters; elsewhere a mark makes another letter
_VULGAR = re.compile(r"(?<=\d)(?=[¼½¾⅐-⅞])")
_DASHES = str.maketrans({**dict.fromkeys("−–‐‑﹣", "-"), "\N{FRACTION SLASH}": "/", "\N{DIVISION SLASH}": "/"})
_FORMULA = re.compile(r"\$\$?(?=[^\s$])([^$]*?)(?<=[^\s$])\$\$?(?!\d)")
_TAG = re.compile(r"</?(?:b|i|u|em|strong|code|span|p|br|s|sub|sup) ?/?>")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_DATE = re.compile(r"(?<![\d.:/-])(\d{1,4})([-./])(\d{1,2})\2(\d{1,4})(?![\d:/-]|\.\d)")
_CURRENCY = "$¢-¥؋฿₠-⃀﷼"
_MONEY_BEHIND = re.compile(rf"(?<![\d.,])(\d[\d.,]*) ?([{_CURRENCY}])(?!\d)")
_FROM, _TO = r"(?<=[\w)\]])", r"(?=[\w(\[\ue000-\uf8ff])"

# what is found, and whether it stays part of the word that it stands in
_KEPT: tuple[tuple[re.Pattern[str], bool], ...] = (
    (re.compile(r"(?<=\d)(?:[.:/]| [:/] )(?=\d)|(?<![\w.])\.(?=\d)"), True),  # 3.5, 2:3, 3/4, .5
    (re.compile(r"(?<=[^\W\d_])[+#]{1,2}(?![\w+#])|(?<=\d)\+(?![\w+])"), True),  # C++, C#, A+, 5+
    (re.compile(r"(?<![^\W\u4e00-\u9fff])(?<![)\]%]) ?-(?=\.?\d|[^\W\d_](?:\W*$| ?[-+*/=<>]))"), True),  # -1, -x
    (re.compile(r"(?<![\w-])(?<=[^\W\d_])-(?=[.,;!?]*$)|(?<=\b[^\W\d_])-(?=[.,;!?]*$)"), True),  # the mark A-
    (re.compile(rf"[%‰°{_CURRENCY}]"), False),
    (re.compile(r"[±×÷≠≤≥≈√∞∈∉⊂⊆∪∩∝∧∨∑∏∫∂∇∅]"), False),
    (re.compile(rf"{_FROM}[+=]{_TO}|{_FROM} \+ {_TO}|{_FROM} ?[=!]?= ?{_TO}"), False),
    (re.compile(rf"{_FROM}\*{_TO}|{_FROM} \* {_TO}|{_FROM} ?[<>]=? ?{_TO}|(?<![\w<>=-])[<>]=? ?(?=-?\.?\d)"), False),
    (re.compile(r"(?:(?<=\d)|(?<=[)\]])|(?<=\b[^\W\d_]))(?: - |-)(?=[\d(\[]|[^\W\d_]\b)"), False),  # a-b, 5 - 3
    (re.compile(r"(?<=\b[^\W\d_]) / (?=[^\W\d_]\b|\d)|(?<=\d) ?/ ?(?=[^\W\d_]\b|\d|\()|(?<=\)) ?/ ?(?=[\w(])"), False),
)


def folded(text: str) -> str:
    """Return a text in one case and width with single blanks, without LaTeX's $, tags, **, ^ and Latin accents."""
    text = unicodedata.normalize("NFKD", _VULGAR.sub(" ", text)).casefold()
    text = unicodedata.normalize("NFC", _ACCENTS.sub("", text)).translate(_DASHES).replace("^", "")
    return " ".join(_TAG.sub(" ", _FORMULA.sub(r" \1 ", text.replace("**", " "))).split())


def with_signs(text: str) -> str:
    """Return a text from `folded` with characters of SIGN for symbols that carry meaning; other marks stay as they are.

    The parts of a date are parted by blanks (2020-01-05 and 2020/01/05 become 2020 01 05), commas between thousands are
    removed, and a currency behind a number is put in front of it.
    """
    text = _DATE.sub(r"\1 \3 \4", _THOUSANDS.sub(lambda found: found[0].replace(",", ""), text))
    text = _MONEY_BEHIND.sub(r"\2\1", text)
    for pattern, attached in _KEPT:
        text = pattern.sub(partial(_sign, attached=attached), text)
    return text


def _sign(match: re.Match[str], attached: bool) -> str:
    """Return the characters that stand for a symbol, with blanks around where it is a word of its own."""
    found, blank = match[0], "" if attached else " "
    lead = " " if attached and found.startswith(" ") and not found.endswith(" ") else blank
    return lead + "".join(chr(_FIRST + ord(c) % _PLACES) for c in found.strip()) + blank
