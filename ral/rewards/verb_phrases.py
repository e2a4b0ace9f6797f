"""Options that name actions, "pat its head", and answers that say who does them: "He pats its head"."""

from __future__ import annotations

import re
from collections.abc import Sequence

_IRREGULAR_NAMES = (
    "sit sat,throw threw,run ran,stand stood,go went,take took,hold held,give gave,get got,come came,fall fell"
    ",drink drank,eat ate,write wrote,ride rode,make made,catch caught,leave left,shake shook,swing swung,lie lay"
    ",bend bent,bring brought,drive drove,feed fed,hang hung,keep kept,lead led,sing sang,speak spoke,swim swam"
    ",wear wore,blow blew,draw drew,find found,fly flew,kneel knelt,lose lost,ring rang,sweep swept,tear tore"
)
_PAST = dict(pair.split() for pair in _IRREGULAR_NAMES.split(","))
_PHRASE = re.compile(
    r"(?P<verb>[a-z]{2,}) (?P<rest>(?:the|an?|his|her|its|their|him|it|them|up|down|away|off|out|back|around|over)\b.*)"
)
_FEWEST = 0.5  # share of the options that have to be such phrases
_AHEAD = re.compile(
    r"(?:\b(?P<who>he|she|it|who|they|someone|somebody)|\b(?:the|an?|this|that|his|her) (?P<noun>[^\W\d_]+)) ?"
    r"(?:then |also |quickly |slowly |gently |just |is |was |has )*$",
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r"\b(?:after|before|when|while|until|as|if|since|once|because|unless|whether|than|like|stops?|stopped|quits?"
    r"|without|avoids?|wants?|tries|tried|pretends?|about|instead)\b[^,;.]*$",
    re.IGNORECASE,
)
"""Matches the beginning of a clause that tells of something else, or of nothing done."""
_ASKED_OF = re.compile(r"\b(?:do|does|did|is|are|was|were) (?P<who>[^?.,]{1,60}?) (?:do|doing)\b", re.IGNORECASE)


def in_base_form(answer: str, options: Sequence[str], question: str) -> str:
    """Return an answer with verbs in the form that the options have: "He pat its head" for "He pats its head".

    options: texts without letters, in small letters; two of them, and half of all, have to be such phrases ("sit
    down"). A verb in -s, -ed or -ing, or an irregular past, is changed where the rest of the option follows it and a
    pronoun or a noun with its article stands in front; a noun that the question has must be the one whose actions the
    question asks for. Clauses behind "after", "stops" and the like stay as they are.
    """
    phrases = [found for option in options if (found := _PHRASE.fullmatch(option))]
    if len(phrases) < _FEWEST * len(options) or len(phrases) < 2:
        return answer
    for found in phrases:
        answer = _untold(answer, found["verb"], found["rest"], question)
    return answer


def _untold(answer: str, verb: str, rest: str, question: str) -> str:
    pattern = re.compile(rf"(?<![\w'’-])(?P<told>{_forms(verb)}) (?P<rest>{re.escape(rest)})(?![\w'’-])", re.IGNORECASE)

    def put(found: re.Match[str]) -> str:
        ahead = answer[: found.start()]
        stays = _ASIDE.search(ahead) or not _told_of(ahead, question)
        return found[0] if stays else f"{verb} {found['rest']}"

    return pattern.sub(put, answer)


def _forms(verb: str) -> str:
    """Return the pattern of a verb's forms with an ending, or of its past: "pats", "patted", "sat"."""
    stem, last = re.escape(verb.removesuffix("e")), re.escape(verb[-1])
    endings = [rf"{stem}(?:e?s|e?d|ing|{last}(?:ed|ing))"]
    endings += [rf"{re.escape(verb[:-1])}ie[sd]"] if verb.endswith("y") else []
    return "|".join(endings + ([_PAST[verb]] if verb in _PAST else []))


def _told_of(ahead: str, question: str) -> bool:
    """Tell whether the words in front of a verb are somebody whom the question may ask about."""
    found = _AHEAD.search(ahead)
    if found is None or found["who"]:
        return found is not None
    asked = _ASKED_OF.search(question)
    noun = re.compile(rf"\b{re.escape(found['noun'])}\b", re.IGNORECASE)
    return asked is None or bool(noun.search(asked["who"])) or not noun.search(question)
