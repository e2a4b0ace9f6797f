"""Options in other forms of their words: "It decreases" is "Decrease", "the 2nd one" is "Second"."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

_CHANGE_NAMES = (
    "increase decrease rise fall grow shrink decline drop stay remain change double halve turn move stop rotate"
    " accelerate decelerate slow expand contract improve worsen open close walk jump stand"
)
_CHANGES = frozenset(_CHANGE_NAMES.split())
"""Verbs of change: the only words whose endings are read, since "building" is more than "build", "Nikes" than Nike."""
_ORDINAL_NAMES = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth"
    " fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
_ORDINALS = {name: place for place, name in enumerate(_ORDINAL_NAMES.split(), start=1)}
_ORDINAL = re.compile(rf"(?<![\w.])(?:{'|'.join(_ORDINALS)}|\d{{1,3}}(?:st|nd|rd|th))(?![\w-])", re.IGNORECASE)
_IN_PLACE = re.compile(
    rf"(?:(?:[a-z]+|(?:the|this|that) [a-z]+) (?:is|was|finished|came|ended|placed|ranked|ranks|finishes)(?: in| up)?"
    rf"|in|it's)? ?(?:the )?(?P<place>{'|'.join(_ORDINALS)})(?P<noun> (?:place|position|rank))?[\s.!]*",
    re.IGNORECASE,
)
_DENIES = re.compile(r"(?:nobody|noone|none|never|not)\b", re.IGNORECASE)
_WORD = re.compile(r"[a-z]+")
_TWO_WORDS = re.compile(r"([a-z]{2,})([ -])([a-z]{2,})")


def in_option_words(answer: str, options: Sequence[str]) -> str:
    """Return an answer with words in the form that the options have: "It decrease" for "It decreases", "second" for
    "2nd".

    options: texts without letters, in small letters. Changed are: forms of a verb of change that an option begins with,
    unless an option has that form too; ordinals; and the hyphen or blank in an option of two words ("back right" for
    "back-right").
    """
    known = {word for option in options for word in _WORD.findall(option)}
    for word in dict.fromkeys(found[0] for option in options if (found := _WORD.match(option))):
        if word in _CHANGES:
            answer = _without_endings(answer, word, known)
    for word, verb in _inflected(options).items():
        answer = _as_written(answer, verb, word, known)
    for option in options:
        answer = _parted(answer, option)
    names = {_place(found[0]): found[0] for option in options for found in _ORDINAL.finditer(option)}
    return _ORDINAL.sub(lambda found: names.get(_place(found[0]), found[0]), answer)


def place_said(text: str) -> str | None:
    """Return "3" of "third place" and "He finished third."; None for other texts."""
    found = _IN_PLACE.fullmatch(" ".join(text.split()))
    if found is None or _DENIES.match(text.strip()):
        return None
    finished = re.search(r"\b(?:finish|came|end|place|rank)", text, re.IGNORECASE)
    return str(_ORDINALS[found["place"].lower()]) if finished or found["noun"] else None


def _parted(text: str, option: str) -> str:
    """Return a text that parts the two words of an option as the option does: "back-right" for "back right"."""
    found = _TWO_WORDS.fullmatch(option)
    if found is None:
        return text
    first, mark, second = found.groups()
    return re.sub(
        rf"(?<![\w-]){first}[ -]{second}(?![\w-]| (?:away|now)\b)", f"{first}{mark}{second}", text, flags=re.IGNORECASE
    )


def _inflected(options: Sequence[str]) -> dict[str, str]:
    """Return {word: verb} of the options' first words that are a verb of change with an ending, each verb once."""
    firsts = dict.fromkeys(found[0] for option in options if (found := _WORD.match(option)))
    verbs = {word: verb for word in firsts for verb in _CHANGES if word != verb and _ended(verb).fullmatch(word)}
    return {word: verb for word, verb in verbs.items() if list(verbs.values()).count(verb) == 1}


def _as_written(text: str, verb: str, word: str, known: Collection[str]) -> str:
    """Return a text with an option's word in place of the verb's other forms; "closed" stays, which may be a state."""
    state = verb in ("open", "close")

    def put(found: re.Match[str]) -> str:
        ended = re.search(
            r"\b(?:stop|ceas|quit|finish)\w* $", text[max(0, found.start() - 20) : found.start()], re.IGNORECASE
        )
        stays = ended or found[0].lower() in known or (state and found[0].lower().endswith("ed"))
        return found[0] if stays else word

    return _ended(verb).sub(put, text)


def _ended(verb: str) -> re.Pattern[str]:
    """Return the pattern of a verb with -s, -ed or -ing."""
    stem = re.escape(verb.removesuffix("e"))
    return re.compile(rf"(?<![\w'’-]){stem}(?:e?s|e?d|ing|{stem[-1]}(?:ed|ing))(?![\w'’-])", re.IGNORECASE)


def _without_endings(text: str, verb: str, known: Collection[str]) -> str:
    """Return a text with a verb in place of the verb with -s, -ed or -ing; words that are known stay."""
    return _ended(verb).sub(lambda found: found[0] if found[0].lower() in known else verb, text)


def _place(ordinal: str) -> int:
    """Return the number of an ordinal: 2 of "2nd" and "Second"."""
    text = ordinal.lower()
    return _ORDINALS.get(text) or int(text[:-2])
