"""Options that say which statements hold, "I only", "Both I and II": "Only I", "II" and "I is false; II is true"."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ral.rewards.claims import ENDS
from ral.rewards.number_words import SMALL

_ROMAN = ("I", "II", "III", "IV", "V")
_NUMERALS = {name: place for n, roman in enumerate(_ROMAN, start=1) for name, place in ((roman, n), (str(n), n))}
_NOUN = r"(?:[Ss]tatement|[Cc]onclusion|[Aa]ssertion|[Cc]laim|[Ss]entence|[Aa]ssumption|[Aa]rgument)s?"
_ONE = r"(?:III|II|IV|I|V|[1-5])(?![\w.])"
_LIST = rf"(?:{_NOUN} )?{_ONE}(?:(?:,| and|, and| &) (?:{_NOUN} )?{_ONE})*"
_HOLDS = r"(?:is|are|holds?|follows?)(?: both| all)?(?: (?:true|correct|right|valid))?"
_SOME = re.compile(rf"(?:[Oo]nly |[Bb]oth |[Aa]ll of )?(?P<list>{_LIST})(?: only| alone)?(?P<says> {_HOLDS})?")
_BOTH = re.compile(rf"both(?: of them| of the {_NOUN}| {_NOUN}| the {_NOUN})?(?P<says> {_HOLDS})?", re.IGNORECASE)
_ALL = re.compile(
    rf"all(?P<count> {'| '.join(SMALL)})?(?: of)?(?: the| these| them)?(?: {_NOUN})?(?P<says> {_HOLDS})?", re.IGNORECASE
)
_NEITHER = re.compile(
    rf"(?:[Nn]either|[Nn]one)(?: of them| of the {_NOUN}| {_NOUN}| of these)?(?P<says> {_HOLDS})?"
    rf"|[Nn]either (?:{_NOUN} )?(?P<one>{_ONE}) nor (?:{_NOUN} )?(?P<other>{_ONE})(?: {_HOLDS})?"
)
_CLAUSE = re.compile(
    rf"(?P<only>[Oo]nly )?(?:[Bb]oth )?(?P<list>{_LIST}) (?:is|are)(?P<not> not|n't)?"
    r"(?: (?P<verdict>true|correct|right|false|incorrect|wrong))?"
)
_BETWEEN = re.compile(r"\s*[,;.]?\s*(?:(?:and|but|while|whereas)\s+)?")
_SO = re.compile(r"(?P<ahead>.+?)[,;.] (?:so|thus|hence|therefore),? (?:the answer is )?(?P<end>[^,;.]+)")
_ASKS_FOR_WRONG = re.compile(r"\b(?:not|except|wrong|false|incorrect|untrue)\b|n['’]t\b", re.IGNORECASE)

Places = frozenset[int]


def option_of_statements(text: str, options: Mapping[str, str], question: str = "") -> str | None:
    """Return the letter of the one option that names the same true statements as a text; else None.

    options: {letter: text as written}; each has to name statements by Roman numerals or figures ("I only", "Both I and
    II", "Neither"). "Only II", "II" and "I is false; II is true" mean "II only"; judgements such as the last have to
    judge each statement, and are not read where `question` asks for what is wrong.
    """
    lines = {letter: " ".join(own.split()).strip(ENDS) for letter, own in options.items()}
    known = frozenset(_NUMERALS[name] for own in lines.values() for name in re.findall(_ONE, own))
    sets = {letter: _said(own, known) for letter, own in lines.items()}
    if (
        len(known) < 2
        or None in sets.values()
        or not any(re.search("only|both|neither", own, re.I) for own in lines.values())
    ):
        return None
    if "?" in text:
        return None
    said = _read(" ".join(text.split()).strip(ENDS), known, judged=not _ASKS_FOR_WRONG.search(question))
    named = [letter for letter, own in sets.items() if said is not None and own == said]
    return named[0] if len(named) == 1 else None


def _read(line: str, known: Places, *, judged: bool) -> Places | None:
    """Return the statements that an answer says to hold; None where it does not say so, or contradicts itself."""
    if found := _SO.fullmatch(line):
        ahead, end = _read(found["ahead"], known, judged=judged), _read(found["end"], known, judged=judged)
        return end if ahead == end else None
    said = _said(line, known, judged=judged)
    return said if said is not None or not judged else _judged(line, known)


def _said(line: str, known: Places, *, judged: bool = True) -> Places | None:
    """Return the statements that "I only", "both" or "neither" means, of those that are `known`; else None."""
    places: Places | None
    if found := _SOME.fullmatch(line):
        places = _places(found["list"])
    elif found := _BOTH.fullmatch(line):
        places = known if len(known) == 2 else None
    elif found := _ALL.fullmatch(line):
        places = known if (found["count"] or "").strip().lower() in ("", _name(len(known))) else None
    elif found := _NEITHER.fullmatch(line):
        named = frozenset(_NUMERALS[found[part]] for part in ("one", "other") if found[part])
        places = frozenset() if not named or named == known else None
    else:
        return None
    return places if judged or not found["says"] else None


def _judged(line: str, known: Places) -> Places | None:
    """Return the statements that clauses such as "I is false; II is true" judge true; None where one is not judged."""
    true: set[int] = set()
    false: set[int] = set()
    place = 0
    while place < len(line):
        found = _CLAUSE.match(line, place)
        if found is None or not (found["not"] or found["verdict"]):
            return None
        holds = (found["verdict"] in (None, "true", "correct", "right")) != bool(found["not"])
        (true if holds else false).update(_places(found["list"]))
        if found["only"] and holds:
            false |= known - true
        between = _BETWEEN.match(line, found.end())
        place = between.end() if between else found.end()
    return frozenset(true) if not true & false and true | false == known else None


def _places(text: str) -> Places:
    return frozenset(_NUMERALS[name] for name in re.findall(_ONE, text))


def _name(count: int) -> str:
    return next(name for name, value in SMALL.items() if value == count)
