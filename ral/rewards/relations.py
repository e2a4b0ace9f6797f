r"""Options that are signs or relations: "less than" is "<", "3 < x" is "$x > 3$", "y = 1 + 2x" is "y = 2x + 1"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

_LONGEST = 80  # characters of such an answer
_SIGN = r"[<>=≤≥≠]"
_OR_EQUAL = r"(?: or (?:is )?equal to)"
# (what to find, the sign that it means), in this order
_SIGNS = tuple(
    (re.compile(pattern, re.IGNORECASE), sign)
    for pattern, sign in (
        (r"\\(?:leq?|leqslant)(?![a-z])|<=|&le;|⩽|≦", "≤"),
        (r"\\(?:geq?|geqslant)(?![a-z])|>=|&ge;|⩾|≧", "≥"),
        (r"\\(?:neq?)(?![a-z])|!=|&ne;", "≠"),
        (r"\\lt(?![a-z])|&lt;|＜", "<"),
        (r"\\gt(?![a-z])|&gt;|＞", ">"),
        (rf"\b(?:is )?(?:less|smaller) than{_OR_EQUAL}", "≤"),
        (rf"\b(?:is )?(?:greater|larger|more|bigger) than{_OR_EQUAL}", "≥"),
        (r"\b(?:is )?(?:less|smaller) than\b", "<"),
        (r"\b(?:is )?(?:greater|larger|more|bigger) than\b", ">"),
        (r"\b(?:is )?equals?(?: to)?\b|＝", "="),
    )
)
_BARE = re.compile(
    r"(?:(?:the )?(?:(?:correct|right|missing) )?(?:sign|symbol) (?:is )?|they are |it is )?"
    rf"[`\"'“”]?({_SIGN})[`\"'“”]?"
    r"(?: sign)?",
    re.IGNORECASE,
)
_COMPARED = re.compile(rf"(?P<left>-?\d[\d./]*) ?(?P<sign>{_SIGN}) ?(?P<right>-?\d[\d./]*)(?:,? so (?P<so>{_SIGN}))?")
_FRACTION = re.compile(r"\\[dt]?frac\{(\d+)\}\{(\d+)\}")
_STATED = re.compile(
    rf"(?P<ahead>[^<>=≤≥≠]*)(?:\b(?:so|thus|therefore|hence|is|shows?|gives?|means|get)\b[:,]?|:) "
    rf"(?P<relation>[^:;?]*{_SIGN}[^:;?]*)",
    re.IGNORECASE,
)
"""A sentence that ends in a relation, and has no other: "The number line shows x ≥ 3"."""
_DENIED = re.compile(r"\b(?:not|never|no|if|unless|whether)\b|n['’]t\b", re.IGNORECASE)
_FUNCTION = re.compile(r"\bf\(x\)(?= ?=)")
_WHOLE = re.compile(r"(?:[^\d.]|\d+(?![\d./]))*")
_MIRROR = {">": "<", "≥": "≤"}
Relation = tuple[str, tuple[str, ...]]


def option_of_relation(text: str, options: Mapping[str, str], question: str) -> str | None:
    """Return the letter of the one option that is the sign or relation which a text is; None for other texts.

    options: {letter: text as written}. Where all are signs, a text is a sign in any writing, or compares two numbers
    that `question` has in this order; else it is a relation such as "3 < x", whose sides are compared as linear terms.
    """
    line = _written(text).strip(" .!。")
    if len(line) > _LONGEST or "?" in line:
        return None
    own = {letter: _written(option) for letter, option in options.items()}
    if all(re.fullmatch(_SIGN, option) for option in own.values()):
        said = _sign(line, question)
        named = [letter for letter, option in own.items() if option == said]
    else:
        relation = _stated(line)
        named = [letter for letter, option in own.items() if relation is not None and _relation(option) == relation]
    return named[0] if len(named) == 1 else None


def same_relation(gold: str, answer: str) -> bool | None:
    """Tell whether an answer states the relation that gold is or states; None where one of them states none.

    "x ≥ 3" is "3 <= x" and "2x ≥ 6", "y = 2x + 1" is "f(x) = 1 + 2x". None, too, where they differ and numbers are not
    whole, so that one may be rounded.
    """
    lines = [_written(text).strip(" .!。") for text in (gold, answer)]
    if any(len(line) > _LONGEST or "?" in line for line in lines):
        return None
    wanted, said = map(_stated, lines)
    if wanted is None or said is None:
        return None
    same = _solved(wanted) == _solved(said)
    return same if same or all(_WHOLE.fullmatch(line) for line in lines) else None


def _stated(line: str) -> Relation | None:
    """Return the relation that a line is, or with which a sentence ends that denies nothing; None for other texts."""
    if relation := _relation(line):
        return relation
    found = _STATED.fullmatch(line)
    return _relation(found["relation"].strip()) if found and not _DENIED.search(found["ahead"]) else None


def _solved(relation: Relation) -> Relation:
    """Return a relation of two sides with all terms on one, divided by the first letter's factor; others stay."""
    sign, sides = relation
    if len(sides) != 2:
        return relation
    sums: dict[str, Fraction] = {}
    for side, factor in zip(sides, (1, -1), strict=True):
        for term in side.split("+") if side != "0" else ():
            value, _, letter = term.partition("*")
            sums[letter] = sums.get(letter, Fraction(0)) + factor * Fraction(value)
    terms = {letter: value for letter, value in sorted(sums.items()) if value}
    if not any(terms):
        return relation
    first = next(value for letter, value in terms.items() if letter)
    turned = {"<": ">", "≤": "≥"}.get(sign, sign) if first < 0 else sign
    return turned, tuple(f"{value / first}*{letter}" for letter, value in terms.items())


def _written(text: str) -> str:
    """Return a text with one sign for each relation, without LaTeX's marks, and "y =" for "f(x) ="."""
    text = re.sub(r"\\(?:left|right|,|;|:|!|\(|\)|\[|\])|\$", " ", text)
    text = _FRACTION.sub(r"\1/\2", text).replace("−", "-")
    for pattern, sign in _SIGNS:
        text = pattern.sub(sign, text)
    return _FUNCTION.sub("y", " ".join(text.split()))


def _sign(line: str, question: str) -> str | None:
    """Return the sign that a line is, or with which it compares two numbers as the question has them in order."""
    if bare := _BARE.fullmatch(line):
        return bare[1]
    found = _COMPARED.fullmatch(line)
    if found is None or (found["so"] and found["so"] != found["sign"]):
        return None
    left, right = re.escape(found["left"]), re.escape(found["right"])
    asked = re.findall(rf"(?<![\d./-]){left}(?![\d/])(?!\.\d)\D+?(?<![\d./-]){right}(?![\d/])(?!\.\d)", question)
    return found["sign"] if len(asked) == 1 else None


def _relation(text: str) -> Relation | None:
    """Return (sign, sides) of a relation, the smaller side first, "=" and "≠" in any order; None for other texts."""
    signs, sides = re.findall(_SIGN, text), [_linear(side) for side in re.split(_SIGN, text)]
    if len(set(signs)) != 1 or None in sides:
        return None
    sign, known = signs[0], [side for side in sides if side is not None]
    if sign in _MIRROR:
        return _MIRROR[sign], tuple(reversed(known))
    return sign, tuple(sorted(known) if sign in "=≠" else known)


def _linear(text: str) -> str | None:
    """Return a sum of numbers and multiples of letters in one order: "1+2*x" for "2x + 1"; None for other texts."""
    line = "".join(text.split())
    if re.search(r"[^\W\d_]{2}", text) or not re.fullmatch(r"(?:[+-]?(?:\d+(?:[./]\d+)?[A-Za-z]?|[A-Za-z]))+", line):
        return None
    sums: dict[str, Fraction] = {}
    for sign, number, letter in re.findall(r"([+-]?)(\d+(?:[./]\d+)?|)([A-Za-z]?)", line):
        if not number and not letter:
            continue
        try:
            value = Fraction(number or 1)
        except ZeroDivisionError:
            return None
        sums[letter] = sums.get(letter, Fraction(0)) + (-value if sign == "-" else value)
    return "+".join(f"{value}*{letter}" for letter, value in sorted(sums.items()) if value) or "0"
