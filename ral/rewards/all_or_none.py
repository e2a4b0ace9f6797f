"""Options "All of the above" and "None of the above": "all three", "A, B and C" and "none of these" mean them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ral.rewards.claims import ENDS
from ral.rewards.number_words import SMALL

_THESE = r"(?: of)?(?: (?:the|these|those|them|above|listed|following|given))*"
_ALL = re.compile(rf"all{_THESE}(?: (?:options|choices|answers))?(?: (?:above|listed))?", re.IGNORECASE)
_NONE = re.compile(rf"none{_THESE}(?: (?:options|choices|answers))?(?: (?:above|listed))?", re.IGNORECASE)
_TRUE = r"(?:correct|true|right|valid|applicable|apply)"
_PLACE = r"(?:in|on) (?:the|this) (?:image|picture|photo|video|scene|frame|clip|shot)"
_THERE = rf"(?:(?:shown|visible|present|seen|listed|there)(?: {_PLACE})?|{_PLACE})"
_HOLDS = re.compile(
    rf"(?: (?:is|are|can be|do|does|appear|appears))?(?: all| both)?"
    rf"(?: {_TRUE}(?: (?:options|choices|answers))?| {_THERE})",
    re.IGNORECASE,
)
_SAYS_ALL = re.compile(
    rf"(?:they are )?all{_THESE}(?: (?P<count>{'|'.join(SMALL)}))?(?P<noun> [a-z]+)?(?: (?:above|listed))?",
    re.IGNORECASE,
)
_SAYS_NONE = re.compile(rf"none{_THESE}(?P<noun> [a-z]+)?(?: (?:above|listed))?", re.IGNORECASE)
_NO_NOUN_NAMES = (
    "is are was were can could may might do does not but except wrong false incorrect right true correct other others"
    " else apart of in on"
)
_NO_NOUN = frozenset(_NO_NOUN_NAMES.split())
_THERE_IS_NO = re.compile(rf"there (?:is|are) (?:no|neither) (?P<things>.+?)(?: {_THERE})?", re.IGNORECASE)
_SO = re.compile(r"(?P<ahead>[^;.]+)[,;.] (?:so|thus|hence|therefore),? (?P<end>.+)", re.IGNORECASE)
_IT_IS = re.compile(r"(?:(?:it is|it's|the (?:correct |right )?answer is|option) )+", re.IGNORECASE)
_BETWEEN = re.compile(r"\s*,\s*(?:and\s+)?|\s+(?:and|&)\s+", re.IGNORECASE)
_EITHER = re.compile(r"\s*,\s*(?:n?or\s+)?|\s+n?or\s+(?:no\s+)?", re.IGNORECASE)
_ARTICLE = re.compile(r"^(?:an?|the) (?=\S)")
_COMPOSITE = re.compile(
    r"(?:all|none|both|neither|either|only)\b|.*\bonly$|\(?[a-h]\)? (?:and|or|&) \(?[a-h]\)?(?!\w)", re.IGNORECASE
)
_ASKS_FOR_WRONG = re.compile(r"\b(?:not|except|wrong|false|incorrect|untrue|least)\b|n['’]t\b", re.IGNORECASE)


def option_of_all_or_none(text: str, options: Mapping[str, str], question: str = "") -> str | None:
    """Return the letter of the option "All of the above" or "None of the above" where a text says that; else None.

    options: {letter: text}. "All" is said by "all of them", by "all three" where there are three other options, and by
    the others' letters or texts ("A, B and C", "dogs, cats and birds"); "none" by "none of these" and "There are no
    dogs, cats or birds". A text may go on with "are correct" and the like, unless `question` asks for what is wrong,
    and with a conclusion that names the same option (", so D"). None for a text with "?", for fewer than two other
    options, and where one of these is made of options ("Both A and B").
    """
    every = [letter for letter, own in options.items() if _ALL.fullmatch(own.strip(ENDS))]
    no = [letter for letter, own in options.items() if _NONE.fullmatch(own.strip(ENDS))]
    others = {letter: own.strip(ENDS) for letter, own in options.items() if letter not in (*every, *no)}
    if len(others) < 2 or any(_COMPOSITE.match(own) for own in others.values()):
        return None
    wrong = _ASKS_FOR_WRONG.search(question) is not None
    if "?" in text:
        return None
    line, end = _parted(" ".join(text.split()).strip(ENDS))
    named: str | None = None
    if len(every) == 1 and _says_all(line, others, wrong):
        named = every[0]
    elif len(no) == 1 and _says_none(line, others, wrong):
        named = no[0]
    return named if named and end in (None, named.casefold(), options[named].strip(ENDS).casefold()) else None


def _parted(line: str) -> tuple[str, str | None]:
    """Return (what a line says, its conclusion behind "so" in small letters); the second None where it has none."""
    found = _SO.fullmatch(line)
    return (found["ahead"], _IT_IS.sub("", found["end"]).strip(f"{ENDS}()").casefold()) if found else (line, None)


def _says_all(line: str, others: Mapping[str, str], wrong: bool) -> bool:
    """Tell whether a line says that all other options hold. wrong: whether that is asked for what is wrong."""
    subject = _subject(line, wrong)
    found = _SAYS_ALL.fullmatch(subject)
    if found and _of_all(found, others):
        return not found["count"] or SMALL[found["count"].lower()] == len(others)
    return _lists(_BETWEEN.split(subject), others)


def _says_none(line: str, others: Mapping[str, str], wrong: bool) -> bool:
    """Tell whether a line says that no other option holds. wrong: as in `_says_all`."""
    found = _SAYS_NONE.fullmatch(_subject(line, wrong))
    if found and _of_all(found, others):
        return True
    absent = None if wrong else _THERE_IS_NO.fullmatch(line)
    return absent is not None and _lists(_EITHER.split(absent["things"]), others, texts_alone=True)


def _of_all(found: re.Match[str], others: Mapping[str, str]) -> bool:
    """Tell whether the noun behind "all of these" or "none of the", if any, is one for all options: no "dogs"."""
    noun = (found["noun"] or "").strip().lower()
    return not noun or (
        " " in found[0][: found.start("noun")]
        and noun not in _NO_NOUN
        and noun not in " ".join(others.values()).lower()
    )


def _subject(line: str, wrong: bool) -> str:
    """Return a line without the "are correct" that it ends with; the line itself where what is wrong is asked for."""
    ends = [found.start() for found in _HOLDS.finditer(line) if found.end() == len(line)]
    return line if wrong or not ends else line[: ends[0]]


def _lists(items: list[str], others: Mapping[str, str], *, texts_alone: bool = False) -> bool:
    """Tell whether a list holds each of the options once, all by their letters or all by their texts."""
    said = sorted(_ARTICLE.sub("", item.strip(f"{ENDS}()").casefold()) for item in items)
    texts = sorted(_ARTICLE.sub("", own.casefold()) for own in others.values())
    return said == texts or (not texts_alone and said == sorted(letter.casefold() for letter in others))
