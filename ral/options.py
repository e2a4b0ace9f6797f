"""Reads the letter at the beginning of an option of a multiple-choice question, with any of the usual marks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

_BRACKETS = {"(": ")", "[": "]", "{": "}", "【": "】", "「": "」"}
_BRACKETED = re.compile(r"([(\[{【「])\s*([A-Za-z])\s*([)\]}】」])\s*[.:、]?\s*(.*)", re.DOTALL)
_MARKED = re.compile(r"([A-Za-z])\s*(?:[.:、]|[)\]】」][.:]?)\s*(.*)", re.DOTALL)
_ABBREVIATION = re.compile(r"(?:[A-Za-z]\.){2,}")
_TAGS = re.compile(r"</?(?:b|i|u|em|strong)>|\*\*|__|\\text(?:bf)?\{(?=[A-Za-z][.)]?\})|\\(?=[()])", re.IGNORECASE)
_BULLET = re.compile(r"[-*•]\s+")
_NAMED = re.compile(r"(?:option|choice|answer)\s+(?=[A-Z]\b)", re.IGNORECASE)
_DASHED = re.compile(r"([A-Za-z])\s*(?:\s?[-–—](?=\s)|[|>;/](?=\s)|。|\t|\}[.)]?)\s*(.+)", re.DOTALL)
_QUOTED = re.compile(r"[<“‘\"']([A-Za-z])[>”’\"'][.:)]?\s+(.+)", re.DOTALL)
_CIRCLED = re.compile(r"[Ⓐ-Ⓩⓐ-ⓩ🄐-🄩]")
_INVISIBLE = "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
INVISIBLE = re.compile(f"[{_INVISIBLE}]")
AT_ENDS = re.compile(rf"\A[\s{_INVISIBLE}]+|[\s{_INVISIBLE}]+\Z")


_LOOK_ALIKES = {
    **dict(zip("АВСЕНІЈКМОРЅТХасеіјорѕх", "ABCEHIJKMOPSTXaceijopsx", strict=True)),  # Cyrillic
    **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹ", "ABEZHIKMNOPTYXC", strict=True)),  # Greek
}
"""Letters of other alphabets -> the Latin letters that they look like."""
_ALPHABETS = ("АБВГДЕЖЗИКЛМНОПРСТУФХ", "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ")
_FOREIGN = re.compile(rf"\W*([{''.join(_LOOK_ALIKES)}{''.join(_ALPHABETS)}])\s*(?:[^\w\s]|\Z)", re.IGNORECASE)


def foreign_letter(text: str) -> str | None:
    """Return the Cyrillic or Greek letter that a text has in place of an option's Latin letter; None where it has none.

    An example is the Cyrillic "С" of "С. red".
    """
    found = _FOREIGN.match(text)
    return None if found is None or found[1].isascii() else found[1]


def foreign_name(letter: str) -> str:
    """Return a Cyrillic or Greek letter in words: "the Cyrillic letter С, which looks like the Latin C"."""
    alike = f", which looks like the Latin {_LOOK_ALIKES[letter]}" if letter in _LOOK_ALIKES else ""
    return f"the {unicodedata.name(letter).split()[0].title()} letter {letter}{alike}"


def own_alphabet(letters: str) -> bool:
    """Tell whether letters are the first ones of the Cyrillic or Greek alphabet, in its order, as in "АБВ"."""
    return bool(letters) and any(alphabet.startswith(letters.upper()) for alphabet in _ALPHABETS)


def letter_and_text(option: str) -> tuple[str, str] | None:
    """Split "B. red", "(b) red", "[B] red", "B、red" or "【B】red" into ("B", "red"); None where no letter is marked.

    Fullwidth letters and marks count as plain ones. "A red" has no mark: its first word may be an article.
    """
    option = AT_ENDS.sub("", option)
    circled = _CIRCLED.match(option)
    if circled is not None:
        letter = next(c for c in unicodedata.normalize("NFKC", circled.group()) if c.isalpha())
        return letter.upper(), option[1:].lstrip(" .:)").strip()
    text = unicodedata.normalize("NFKC", INVISIBLE.sub("", option)).strip()
    plain = _marked(text)
    return (
        plain
        if plain is not None
        else _marked(_NAMED.sub("", _BULLET.sub("", _TAGS.sub("", text), count=1).strip(), count=1))
    )


def _marked(text: str) -> tuple[str, str] | None:
    """Split a text into its letter and the rest; None where no mark is behind the letter or around it, as in "U.S."."""
    if _ABBREVIATION.match(text):
        return None
    found = _BRACKETED.fullmatch(text)
    if found is not None:
        matching = _BRACKETS[found.group(1)] == found.group(3)
        return (found.group(2).upper(), found.group(4).strip()) if matching else None
    found = _MARKED.fullmatch(text)
    if found is None and (found := _DASHED.fullmatch(text)) and _only_letters(found.group(2)):
        return None  # "B > A", "A - B": an order or a term, not a letter and its text
    found = found or _QUOTED.fullmatch(text)
    return None if found is None else (found.group(1).upper(), found.group(2).strip())


def _only_letters(text: str) -> bool:
    """Tell whether a text is single letters and marks alone, as in "A > C" and "B and C"."""
    words = re.findall(r"\w+", text.casefold())
    return bool(words) and all((len(word) == 1 and word.isalpha()) or word in ("and", "or") for word in words)


def lettered(options: tuple[str, ...]) -> dict[str, str] | None:
    """Return {letter: text} of options; None where an option has no letter or two options have the same one."""
    pairs = [letter_and_text(option) for option in options]
    found = {pair[0]: pair[1] for pair in pairs if pair is not None}
    return found if len(found) == len(options) else None


_DRESSED = re.compile(r"\\(?:boxed|text|mathrm|mathbf|textbf)\s*\{([^{}]*)\}|[*_`$\"“”'‘’]+")
_ONE_OF_SEVERAL = re.compile(
    r"(?:(?:option|choice)s?\s+)?(?:[-•]\s+)?"
    r"(?:[(\[{【「]\s*([A-Za-z])\s*[)\]}】」]|([A-Za-z])\s*[)\]}】」.:、](?![A-Za-z0-9])|([A-Z])(?![\w']))[.:、]?",
    re.IGNORECASE,
)
_BETWEEN_LETTERS = re.compile(r"(?:[\s,;.&/|+、和与及]|(?:and|or)\b)*", re.IGNORECASE)


def several_letters(text: str, texts: Mapping[str, str]) -> bool:
    """Tell whether a text is a list of two or more different letters: "(A)(C)", "A) C)", "(A) red; (C) green".

    texts: {letter: its option's text}, {} where unknown. Each letter may have its own option's text behind it; the
    whole text has to be such a list.
    """
    rest = unicodedata.normalize("NFKC", _DRESSED.sub(lambda found: f" {found[1] or ''} ", INVISIBLE.sub("", text)))
    rest, named = rest.strip(), set()
    own = {letter: " ".join(unicodedata.normalize("NFKC", said).split()) for letter, said in texts.items()}
    while rest:
        found = _ONE_OF_SEVERAL.match(rest)
        letter = (found[1] or found[2] or found[3]).upper() if found else ""
        if found is None or (found[3] and not found[3].isupper()) or (texts and letter not in own):
            return False
        named.add(letter)
        rest = _behind_own(rest[found.end() :].lstrip(" -–—:=,"), own.get(letter, ""))
        rest = rest[_end_of(_BETWEEN_LETTERS, rest) :]
    return len(named) > 1


LONGEST_LIST = 1000
"""Characters of a text that is read as a list of letters with words behind each."""
_OF_ITS_OWN = r"(?!(?:and|or|nor|but|is|are|was|were|isn't|has|have|only|alone)\b)(?=[^\W_]{2}|\d|[\u3400-\u9fff])"
_LATER_MARKED = re.compile(
    rf"(?:(?:[;,\n]|\s[/&])\s*(?:and\s+|or\s+)?|\b(?:and|or)\s+)(?:option\s+)?([A-Z])(?:[.):]\s+|、\s*){_OF_ITS_OWN}",
    re.IGNORECASE,
)
_TELLS_OF = "both either neither option options choice of from to than between not in at figure panel point statement"
_LATER_BRACKETED = re.compile(
    "".join(rf"(?<!\b{word})" for word in _TELLS_OF.split())
    + rf"[\s;,/&]+(?:and\s+|or\s+)?[(\[{{【「]\s*([A-Z])\s*[)\]}}】」]\s*[.:、]?\s*{_OF_ITS_OWN}",
    re.IGNORECASE,
)


def first_of_several(text: str, texts: Mapping[str, str]) -> str | None:
    """Return the first letter of a list of letters with words behind each, None where a text is no such list.

    Examples are "A. red; C. green" and "(A) the red one (C) the green one".

    texts: {letter: its option's text}, {} where unknown; a letter with its own text whole is no list. The letters have
    to be marked alike, and a letter without brackets to stand behind a comma, a line break, "and" or the like.
    """
    if len(text) > LONGEST_LIST:
        return None
    plain = unicodedata.normalize("NFKC", _DRESSED.sub(lambda found: f" {found[1] or ''} ", INVISIBLE.sub("", text)))
    plain = plain.strip()
    pair = letter_and_text(plain)
    if pair is None:
        return None
    own = " ".join(texts.get(pair[0], "").casefold().split())
    if own and " ".join(pair[1].casefold().split()).rstrip(".") == own.rstrip("."):
        return None
    later = _LATER_BRACKETED if plain[0] in _BRACKETS else _LATER_MARKED
    named = {letter for found in later.findall(pair[1]) if (letter := found.upper()) != pair[0]}
    return pair[0] if (named & texts.keys() if texts else named) else None


def _behind_own(rest: str, own: str) -> str:
    """Return what stands behind an option's own text (perhaps in brackets) that begins a text; else the text."""
    words = r"\s+".join(map(re.escape, own.split()))
    found = re.match(rf"\(?{words}(?!\w)\)?", rest, re.IGNORECASE) if words else None
    return rest[found.end() :] if found else rest


def _end_of(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.match(text)
    return found.end() if found else 0
