"""Removal of remarks around answers, which state no answer of their own: "100% sure it's 4", "~~A~~ B".

Remarks are: how sure one is, a reason or exception in brackets ("7 (not counting the 2 dogs)"), struck-out text, a word
of assent, a concession behind the answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ral.rewards.counts import times_done

LONGEST = 400  # characters of a choice in which such words are looked for
_SURE = re.compile(
    r"\b(?:(?:i am|i'm|i’m|we are) )?(?:about )?\d{1,3} ?(?:%|percent) (?:sure|confident|certain|positive)"
    r"(?: that)?,? ?",
    re.IGNORECASE,
)
_BRACKETS = re.compile(
    r"\s*\((?:since|because|as|not counting|excluding|not including|ignoring|leaving out) [^()]*\)", re.IGNORECASE
)
_TO_BE_EXACT = re.compile(
    r".*[,;] (?:it is |or )?(?P<said>[^,;]+?),? (?:to be (?:exact|precise)|exactly)[\s.!]*", re.I | re.S
)
_TIMES = re.compile(r"(?:only |just )?(?P<times>once|twice|thrice)[\s.!]*", re.IGNORECASE)
_SINGLE = re.compile(r"(?:only |just |there is |there's )*(?:only )?a single (?P<thing>[a-z]+)[\s.!]*", re.IGNORECASE)
_STRUCK = re.compile(r"~~[^~]+~~")
_ASSENT = re.compile(r"\s*(?:that(?:'s|’s| is) right|all right|alright)[,.!]\s+(?=\S)", re.IGNORECASE)
_USED_TO = re.compile(r"[^,;.]*\bused to be [^,;.]+[,;.]? (?:but |and )?(?:it(?:'s| is) )?now,? (?=\S)", re.IGNORECASE)
_FORMERLY = re.compile(r"\b(?:used? to|before|original|initial|first|former|previous)", re.IGNORECASE)
_CONCEDED = re.compile(
    r"(?P<said>[^.;,]+),? (?:though|although|even though) "
    r"(?P<other>[^.;]*\b(?:tempting|close|plausible|similar|possible)\b[^.;,]*)[\s.!]*",
    re.IGNORECASE,
)
_PICTURED = r"(?: (?:in|on) (?:the|this) (?:image|picture|photo|video|scene|frame|clip|shot)| here| anywhere)?"
_IS_THERE = re.compile(
    rf"(?:is|are|was|were) there (?:an?|any|some) (?P<thing>[a-z]+?)s?{_PICTURED}[\s?]*", re.IGNORECASE
)
_THERE_IS = re.compile(
    rf"there (?:is|are|was|were) (?:(?P<no>no|not an?|not any)|an?|some) (?P<thing>[a-z]+?)s?(?: visible| present)?"
    rf"{_PICTURED}[\s.!]*",
    re.IGNORECASE,
)
_DOUBT = re.compile(r"\b(?:not|n't|wrong|right|correct|better|more|equally|also|as)\b", re.IGNORECASE)
_ALL_OF_TWO = re.compile(
    r"(?:it(?:'s| is) )?(?P<word>both|neither)(?: (?:of them|[A-Z] (?:and|nor|or) [A-Z]))?"
    r"(?: (?:is|are) (?:true|correct|right))?[\s.!]*",
    re.IGNORECASE,
)


def without_asides(text: str) -> str | None:
    """Return a numerical answer without remarks around the number, "7" of "7 (not counting the 2 dogs)" and "2" of
    "only twice"; None where it has no such remarks.
    """
    if found := _TO_BE_EXACT.fullmatch(text):
        return found["said"]
    if found := _TIMES.fullmatch(text):
        return {"once": "1", "twice": "2", "thrice": "3"}[found["times"].lower()]
    if found := _SINGLE.fullmatch(text):
        return f"1 {found['thing']}"
    rest = _BRACKETS.sub("", _SURE.sub("", text)).strip()
    return rest if rest != text else times_done(text)


def choice_alone(text: str, question: str) -> str | None:
    """Return the choice that a text states, without the remarks beside the choice; None where there are no remarks.

    Read are "I'd go with B, though D is tempting", "~~A~~ B", "All right, left", "It used to be blue, now it is red"
    (unless `question` asks for the past), and "There is no dog in the image", which is "no" where the question is
    whether there is one.
    """
    if len(text) > LONGEST:
        return None
    asked, said = _IS_THERE.fullmatch(question[:LONGEST].strip()), _THERE_IS.fullmatch(text.strip())
    if asked and said and asked["thing"].lower() == said["thing"].lower():
        return "no" if said["no"] else "yes"
    rest = _ASSENT.sub("", _SURE.sub("", _STRUCK.sub(" ", text)), count=1)
    if not _FORMERLY.search(question):
        rest = _USED_TO.sub("it is ", rest, count=1)
    conceded = _CONCEDED.fullmatch(rest.strip())
    if conceded and not _DOUBT.search(conceded["other"]):
        rest = conceded["said"]
    return rest if rest != text and rest.strip() else None


def both_or_neither(text: str, options: Mapping[str, str]) -> str | None:
    """Return the letter of the one option that begins with "both" or with "neither", where a text says that word alone.

    options: {letter: text in small letters}. None for other texts, and where no option, or more than one, begins so.
    """
    found = _ALL_OF_TWO.fullmatch(text[:LONGEST].strip())
    named = [letter for letter, own in options.items() if found and own.startswith(f"{found['word'].lower()} ")]
    return named[0] if len(named) == 1 else None
