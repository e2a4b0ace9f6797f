"""English number words: "twenty-one", "three hundred and five", "two thirds", "one and a half million", "a dozen"."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from ral.rewards.scales import SCALES

_SMALL_NAMES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
)
_TENS_NAMES = "twenty thirty forty fifty sixty seventy eighty ninety"
SMALL = {word: i for i, word in enumerate(_SMALL_NAMES.split())}
TENS = {word: 10 * i for i, word in enumerate(_TENS_NAMES.split(), start=2)}
_LARGE = {name: value for name, value in SCALES.items() if name.isascii() and value >= 1000}
_PARTS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "eighth": 8, "tenth": 10}
_PARTS |= {"halves": 2} | {f"{name}s": value for name, value in _PARTS.items()}
_CARDINAL = SMALL | TENS
_DOZEN = ("dozen", "dozens")
_FRACTIONS = [[name] for name in _PARTS]
_MULTIPLIERS = frozenset((*_LARGE, *_DOZEN, "hundred", "hundreds"))
_HALVED = _MULTIPLIERS - {"hundred", "hundreds", "thousand", "thousands"}
"""Scale words of which "and a half" behind them is a half: "two million and a half", not "two hundred and a half"."""
_SPANS = frozenset(("hour", "minute", "day", "week", "month", "year", "decade", "century"))
"""Spans of time of which "an hour" is one and "half an hour" a half; "a second" may be the second of several."""
_LEAD = re.compile(
    r"(?:(?:(?:the|this) [a-z]+ )?(?:lasts|lasted|takes|took)"
    r"|(?:there is |i have )?no (?:doubt|question|wonder)(?: that)?,?|(?:without|beyond) (?:a |any )?doubt,?"
    r"|(?:no|nope),|undoubtedly,?|surely,?|of course,?"
    r"|(?:so|the|final|correct|answer|total|result|number|count|value|it|this|that|there|they|we|i|you)\b|is|are|was"
    r"|in(?: the year)?(?= (?:\w+teen|twenty)\b)"
    r"|equals|be|see|count|counted|can (?:see|count|spot|identify|find|observe|make out)|has|have"
    r"|about|around|approximately|roughly|nearly|almost|exactly|only|just"
    r"|a total of|in total|[,.:=]|'s)\s+|(?:answer|total)\s*[:=]\s*"
)
_PICTURED = re.compile(
    r" (?:visible |shown |present |seen )?(?:in|on) (?:the|this)"
    r" (?:image|picture|photo|video|scene|frame|clip|shot|diagram|chart|graph|figure)$"
)
_OTHER = frozenset(("or", "and", "to", "of", "than", "between", "point", "out", "but", "not", "by", "minus", "plus"))
_OUT_OF = re.compile(r"(.+?) (?:out of(?: every)?|in every) (.+)", re.IGNORECASE | re.DOTALL)
_PRONOUN = re.compile(
    r"\bone (?:(?:can|could|should|must|may|might|would|will|shall|ought to|has to|needs to)(?:not| not|n?['’]t)?"
    r"|won['’]t) (?:[a-z]+ly |never |also |only |just |first )*(?!be\b|have\b)[a-z]"
    r"|\bone (?:wonders|never knows|thing is (?:certain|sure|clear))\b",
    re.IGNORECASE,
)
MOST_WORDS = 4  # behind the number
_DIGITS_ALONE = re.compile(r"-?[0-9]{1,9}")


class Words(NamedTuple):
    """A number in words. rest: the words after it. whole: whether it is an integer that no large scale word rounds."""

    value: Fraction
    whole: bool
    rest: str


def read_words(text: str) -> Words | None:
    """Return the one number that a short text gives in words; else None.

    None also where more than MOST_WORDS words, or another number word, stand behind the number.
    """
    if (part := _OUT_OF.fullmatch(text.strip())) and (share := _share(part[1], part[2])):
        return share
    line = " ".join(text.lower().replace("-", " ").split()).strip(" .,;:!()\"'")
    line = _PICTURED.sub("", line.removesuffix(" or so"))
    if is_pronoun(line):
        return None
    while lead := _LEAD.match(line):
        line = line[lead.end() :]
    words = re.findall(r"[^\W\d_]+|[^\w\s]", line)
    sign = -1 if words[:1] in (["minus"], ["negative"]) else 1
    read = _number(words[1:] if sign < 0 or words[:1] in (["plus"], ["positive"]) else words)
    if read is None:
        return None
    value, rest = read
    if len(rest) > MOST_WORDS or any(w in _CARDINAL or w in _PARTS or w in _OTHER for w in rest):
        return None
    large = any(word in _LARGE for word in words)
    return Words(sign * value, value.denominator == 1 and not large, " ".join(rest))


def is_pronoun(text: str) -> bool:
    """Tell whether "one" means anybody: "One cannot tell.", "One must look closely."; not in "one can be seen"."""
    return _PRONOUN.search(text) is not None


def lone_number(text: str) -> Fraction | None:
    """Return the integer that a text is, in digits or words and with nothing beside it; None for any other text."""
    line = text.strip().rstrip(" .。!")
    if _DIGITS_ALONE.fullmatch(line):
        return Fraction(line)
    read = None if re.search(r"[\d,]", line) else read_words(line)
    return read.value if read and read.whole and not read.rest else None


def _share(part: str, whole: str) -> Words | None:
    """Return the fraction of "two out of five"; None where a number is no integer, or the part exceeds the whole."""
    top, bottom = read_words(part), read_words(whole)
    if (
        top is None
        or bottom is None
        or top.rest
        or not (top.whole and bottom.whole)
        or not 0 <= top.value <= bottom.value
    ):
        return None
    return Words(top.value / bottom.value, top.value == bottom.value, bottom.rest) if bottom.value else None


def _number(words: list[str]) -> tuple[Fraction, list[str]] | None:
    """Return (value, what follows it) of words that begin with a number."""
    if words[:1] in (["a"], ["an"]):
        if len(words) == 2 and words[1] in _SPANS:
            return Fraction(1), words[1:]
        if len(words) < 2 or not (words[1] in _PARTS or words[1] in ("hundred", *_LARGE, *_DOZEN)):
            return None
        words = ["one", *words[1:]]
    if words[:1] == ["half"]:
        words = ["one", *words]
    if year := _year(words):
        return year
    read = _cardinal(words)
    if read is None:
        return None
    value, rest = read
    last = words[len(words) - len(rest) - 1]
    return _mixed(value, rest, last) if rest[:1] == ["and"] else _with_part(value, rest)


def _year(words: list[str]) -> tuple[Fraction, list[str]] | None:
    """Return (year, rest) of "nineteen ninety nine", "twenty twenty four" and "nineteen oh five"; None for no year.

    The first two digits are 13 to 20: "twelve thirty" is a time.
    """
    first = _CARDINAL.get(words[0], 0) if words else 0
    if first not in range(13, 21) or len(words) < 2:
        return None
    if words[1] in ("oh", "o") and 0 < SMALL.get(words[2] if len(words) > 2 else "", 0) < 10:
        return Fraction(100 * first + SMALL[words[2]]), words[3:]
    ten = _CARDINAL.get(words[1], 0)
    if ten < 10:
        return None
    one = SMALL.get(words[2], 0) if ten >= 20 and len(words) > 2 else 0
    return (Fraction(100 * first + ten + one), words[3:]) if 0 < one < 10 else (Fraction(100 * first + ten), words[2:])


def _with_part(value: Fraction, rest: list[str]) -> tuple[Fraction, list[str]] | None:
    """Return the fraction behind a number: "two | thirds", "two | point five", "one half | a million"."""
    if rest[:1] and rest[0] in _PARTS:
        value, rest = value / _PARTS[rest[0]], rest[1:]
        after = _behind_article(rest)
        if after and after[0] in _MULTIPLIERS:
            return _multiplied(value, after)
        return value, after if after[:1] and after[0] in _SPANS else rest
    if rest[:1] == ["point"] and len(rest) > 1:
        digits = [str(SMALL[w]) for w in rest[1:] if SMALL.get(w, 10) < 10]
        scale = SCALES.get(rest[1 + len(digits)], 1) if len(rest) > 1 + len(digits) else 1
        used = 1 + len(digits) + (scale > 1)
        return ((value + Fraction(f"0.{''.join(digits)}")) * scale, rest[used:]) if digits else None
    return value, rest


def _mixed(value: Fraction, rest: list[str], last: str) -> tuple[Fraction, list[str]]:
    """Return the sum of a number and the fraction said behind it: "two | and a half million", "a million | and a half".

    last: the number's last word. Scale words right behind the fraction multiply the sum. Left unread, with `rest` as
    it was, are two scales ("a thousand and a half million") and "two and half a million".
    """
    words = ["one", *rest[2:]] if rest[1:2] in (["a"], ["an"]) else rest[1:]
    top, named = _cardinal(["one", *words] if words[:1] == ["half"] else words) or (Fraction(0), [])
    bottom = _PARTS.get(named[0], 0) if named else 0
    behind = _behind_article(named[1:])
    scaled = behind[:1] and behind[0] in _MULTIPLIERS
    if not 0 < top < bottom or (scaled and (last in _MULTIPLIERS - {"hundred"} or behind != named[1:])):
        return value, rest
    if scaled:
        return _multiplied(value + top / bottom, behind)
    part = top / bottom * (SCALES[last] if last in _HALVED else 1)
    return value + part, behind if behind[:1] and behind[0] in _SPANS else named[1:]


def _behind_article(words: list[str]) -> list[str]:
    """Return the words behind "a", "of" or "of a"."""
    words = words[1:] if words[:1] in (["a"], ["of"]) and len(words) > 1 else words
    return words[1:] if words[:1] in (["a"], ["an"]) else words


def _multiplied(value: Fraction, words: list[str]) -> tuple[Fraction, list[str]]:
    """Return a number times the scale words that come first, with the words behind these."""
    while words and words[0] in _MULTIPLIERS:
        value, words = value * SCALES[words[0]], words[1:]
    return value, words


def _cardinal(words: list[str]) -> tuple[Fraction, list[str]] | None:
    """Return (value, rest) of "two million three hundred and five ..."; None where no number word comes first."""
    total, section, place, last = 0, 0, 0, 10**15
    while place < len(words):
        word = words[place]
        counted = words[place + 1 : place + 2] if words[place + 2 : place + 3] not in _FRACTIONS else []
        joined = word == "and" and section % 100 == 0 and place > 0 and counted
        if joined and joined[0] in _CARDINAL and (section >= 100 or total) and words[place - 1] in ("hundred", *_LARGE):
            place += 1
            continue
        if word in SMALL and (
            section % 100 == 0 or (section % 100 >= 20 and section % 10 == 0 and 0 < SMALL[word] < 10)
        ):
            if place and words[place - 1] in SMALL:
                return None
            section += SMALL[word]
        elif word in TENS and section % 100 == 0 and (not place or words[place - 1] not in _CARDINAL):
            section += TENS[word]
        elif word == "hundred" and 0 < section < 100:
            section *= 100
        elif word in _DOZEN and place:
            return Fraction((total + section) * 12), words[place + 1 :]
        elif word in _LARGE and section and _LARGE[word] < last:
            last = _LARGE[word]
            total, section = total + section * last, 0
        else:
            break
        place += 1
    return (Fraction(total + section), words[place:]) if place else None
