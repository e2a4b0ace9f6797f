"""States to a degree: "partially open", "half closed" and "two thirds full" are not open, not closed and not full."""

from __future__ import annotations

import re
from collections.abc import Mapping

_HALF = r"(?:half|half[ -]?way|mid[ -]?way|semi)"
_PART = r"(?:partially|partly|in part|partway|part[ -]way)"
_FRACTION = (
    r"(?:\d+ ?(?:%|percent)|\d ?/ ?\d|(?:a|one|two|three|four|1|2|3|4)[ -](?:half|thirds?|quarters?|fourths?|fifths?)"
    r"|a quarter|quarter|thirds?|less than half|more than half)"
)
_LITTLE = r"(?:slightly|somewhat|mostly|largely|barely|a (?:little|bit|tad|crack|touch)|a little bit|sort of|kind of)"
_OF_ANY = re.compile(rf"\b(?:{_HALF}|{_PART}|incompletely)[ -]$", re.IGNORECASE)
_OF_STATE = re.compile(
    rf"(?<!\w)(?:{_FRACTION}|{_LITTLE}|less than|just|only just|all but|practically|virtually"
    r"|as good as|close to|next to)[ -](?:of )?$",
    re.IGNORECASE,
)
_BEHIND = re.compile(
    rf" (?:(?:only|just|about|but|by|to|at) )*(?:{_HALF}|{_PART}|{_FRACTION}|{_LITTLE}|an inch)(?!\w)", re.IGNORECASE
)
_NOT_YET = re.compile(
    r"\b(?:(?:about|yet|ready|supposed|meant|starting|beginning|going|needs?|has|have|ought) to(?: be(?:come)?)?"
    r"|(?:will|should|would|must|shall)(?: soon| then| later)? be(?:come)?)[ -]$",
    re.IGNORECASE,
)
_ASKS_AHEAD = re.compile(
    r"\b(?:will|would|should|must|going|about|supposed|needs?|next|happen\w*|predict\w*|after|if|likely)\b",
    re.IGNORECASE,
)
_STATE = re.compile(
    r"(?:(?:fully|completely|entirely|wide|totally) )?(?:open(?:ed)?|closed|shut|empty|full|filled|emptied|complete"
    r"|completed|finished|done|dry|wet|raised|lowered|extended|folded|unfolded|covered|uncovered|visible|hidden"
    r"|submerged|lit|eaten|cooked|baked|drawn|inflated|deflated|ripe|melted|frozen|broken|built|loaded|painted|peeled"
    r"|sliced|charged|clean|occupied|inserted|erased|assembled|dressed|drunk|opaque|transparent|on|off)",
    re.IGNORECASE,
)
_HAN_AHEAD = re.compile(r"(?:半|部分|微微?|略微?|稍微?|[一二三四五六七八九]分之[一二三四五六七八九])$")
_ALIKE = (_HALF, _PART)
_DEGREE = re.compile(rf"(?P<degree>{_HALF}|{_PART})[ -](?P<state>\S.*)", re.IGNORECASE)


def to_a_degree(ahead: str, own: str, behind: str) -> bool:
    """Tell whether the words around an option's text make it a thing that holds in part: "half", "two thirds".

    ahead, own, behind: the text in front of the option's, the option's, and the text behind. "half" and "partially"
    count in front of any option, fractions and "slightly" only beside a state such as "open" or "full".
    """
    if _OF_ANY.search(ahead) or _HAN_AHEAD.search(ahead):
        return True
    return _STATE.fullmatch(own) is not None and bool(_OF_STATE.search(ahead) or _BEHIND.match(behind))


def not_yet(ahead: str, own: str, question: str) -> bool:
    """Tell whether a state is said to come or to be due, "is about to open" and "should be closed", where `question`
    asks for what is.
    """
    return bool(_STATE.fullmatch(own) and _NOT_YET.search(ahead)) and _ASKS_AHEAD.search(question) is None


def in_option_degree(line: str, options: Mapping[str, str]) -> str:
    """Return a line in which a degree has the words of the option that has it: "half open" for "halfway open".

    options: {letter: text in small letters}. Alike are "half" and "halfway", and "partially" and "partly".
    """
    for own in options.values():
        if (found := _DEGREE.fullmatch(own)) is None:
            continue
        words, state = (
            next(alike for alike in _ALIKE if re.fullmatch(alike, found["degree"])),
            re.escape(found["state"]),
        )
        line = re.sub(rf"\b(?:{words}[ -]{state}|{state} {words})\b", own.replace("\\", r"\\"), line, flags=re.I)
    return line
