"""Numbers that measure from elsewhere than is asked: "12 seconds before the end", "frame 12", "5 m taller than ...".

Asked at what second something happens, or how tall a thing is, these are no answer, whatever their number.
"""

from __future__ import annotations

import re

from ral.rewards.asked_units import asked_unit
from ral.rewards.number_words import SMALL, TENS

_LONGEST = 200  # characters of an answer that is read
_ASKS_WHEN = re.compile(
    r"\b(?:what|which) (?:exact )?(?:second|minute|time(?:stamp)?|moment|point in time)\b|\bwhen\b", re.IGNORECASE
)
_ASKS_SIZE = re.compile(
    r"\bhow (?:tall|high|long|wide|deep|far|heavy|old|fast|large|big|thick|broad|warm|hot|cold)\b"
    r"|\bwhat is the (?:height|length|width|depth|distance|weight|mass|age|speed|diameter|radius|area|volume)\b",
    re.IGNORECASE,
)
_NUMBER = rf"(?:\d[\d.,:]*|\b(?:{'|'.join((*SMALL, *TENS))}))"
_TIME = rf"{_NUMBER}[ -]?(?:s|secs?|seconds?|m|mins?|minutes?|h|hours?|days?|weeks?|months?|years?)\.?(?: mark)?"
_CLOCK = rf"(?! (?:about )?(?:{_NUMBER}|noon|midnight))"
_MEASURE = rf"{_NUMBER}[ -]?(?:[^\W\d_]+\.?)?(?: mark)?"
_START = (
    r"(?:(?:the )?(?:very )?(?:start|beginning)\b"
    r"|(?:(?:the|this) )?(?:video|clip|recording|footage|film|movie)(?:'s)? (?:start|begin|beginning)(?:s|ed)?\b)"
)
_APART = re.compile(
    rf"{_TIME} (?P<word>before{_CLOCK}|prior to|earlier|later|afterwards?|ago|until{_CLOCK}|till{_CLOCK}|left"
    rf"|remaining|to go|after{_CLOCK}(?! {_START})|following|from (?:the |its )?(?:very )?(?:end|finish)"
    r"|(?:to|towards?) the end)\b",
    re.IGNORECASE,
)
_GROUND = r"(?! (?:the )?(?:ground|sea|floor|earth|surface|water|street|mean|zero|freezing))"
_BY = re.compile(
    rf"{_MEASURE} (?:(?:[a-z]+er|more|less) than\b|(?P<word>above|below|beyond)\b{_GROUND})", re.IGNORECASE
)
_TIMES = re.compile(rf"{_NUMBER} times (?:the|as|his|her|its|their|[a-z]+er|more|that)\b", re.IGNORECASE)
_COUNTED = (
    r"(?:frame|step|shot|scene|clip|slide|page|picture|image|beat|pixel|lap|round|floor|block|story|storey|stories"
    r"|chapter|section|row|line|turn|attempt|car|person|people|object|time)"
)
_LABELLED = r"(?:frame|step|shot|scene|slide|page|picture|image|chapter|section|row|line|round|lap)"
_OTHER_COUNT = re.compile(
    rf"\b(?P<label>{_LABELLED})s? (?:number |no\.? |#)?(?:{_NUMBER})"
    rf"|{_NUMBER}(?:st|nd|rd|th)? (?P<thing>{_COUNTED})s?\b",
    re.IGNORECASE,
)
_MARKS = re.compile(r"[*`$\\]")  # of Markdown and LaTeX, inside a sentence
_AT_CLOCK = re.compile(
    r"(?:(?!\b(?:not|never|no|before|after|until|by|or|if|than|except)\b|n['’]t\b)[^\d?]){1,100}"
    r"\bat (?:around |about |timestamp |time )?(?P<clock>\d{1,2}(?::\d\d){1,2})(?: in the (?:video|clip))?[\s.!]*",
    re.IGNORECASE,
)
_COMPARES = re.compile(r"\b(?:than|difference|[a-z]{2,}er (?:is|are|was|were)|much|times|compared)\b", re.IGNORECASE)


def moment_said(answer: str, question: str) -> str | None:
    """Return the clock time of a sentence without other numbers where `question` asks for a moment: "0:07" of "It
    falls at 0:07"; else None.
    """
    found = _AT_CLOCK.fullmatch(_MARKS.sub("", answer)) if _ASKS_WHEN.search(question) else None
    return found["clock"] if found else None


def measures_elsewhere(answer: str, question: str) -> bool:
    """Tell whether an answer's number is measured from elsewhere than `question` asks, or counts another thing.

    Where a moment is asked for, that is a time before, after or from the end of something; where a size or a unit is,
    a difference ("taller than") or a multiple ("5 times the height"); where a unit of measure is, a number of frames,
    steps and the like. Words that the question has itself do not count, and "after the start" is no offset.
    """
    answer = _MARKS.sub("", answer)
    if len(answer) > _LONGEST:
        return False
    if _ASKS_WHEN.search(question) and (apart := _APART.search(answer)):
        return not re.search(rf"\b{re.escape(apart['word'].split()[0])}\b", question, re.IGNORECASE)
    unit = asked_unit(question)
    sized = unit is not None or _ASKS_SIZE.search(question)
    by = _BY.search(answer) or _TIMES.search(answer) if sized and not _COMPARES.search(question) else None
    if by and not ((place := by.groupdict().get("word")) and re.search(rf"\b{place}\b", question, re.IGNORECASE)):
        return True
    other = _OTHER_COUNT.search(answer) if unit else None
    thing = (other["label"] or other["thing"]) if other else ""
    return other is not None and not re.search(rf"\b{thing}s?\b", question, re.IGNORECASE)
