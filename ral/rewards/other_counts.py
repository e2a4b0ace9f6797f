"""Numbers that count or measure another thing than is asked: the people of "5 people, including 2 children".

Asked how many children there are, the part is the answer; a difference ("2 more cats than dogs"), a measure of another
direction ("5 m wide" of what is tall) and what used to be are none.
"""

from __future__ import annotations

import re

from ral.rewards.number_words import SMALL, TENS
from ral.rewards.units import find_unit

_LONGEST = 200  # characters of an answer that is read
_NUMBER = rf"(?:\d[\d.,]*|\b(?:{'|'.join((*SMALL, *TENS))})\b)"
_NUMBERS = re.compile(_NUMBER, re.IGNORECASE)
_ASKED = re.compile(
    r"\bhow many (?!more\b|fewer\b|less\b|of\b|times\b)(?P<thing>[a-z][a-z-]*(?: [a-z][a-z-]*){0,3}?)"
    r"(?= (?:is|are|was|were|do|does|did|can|could|has|have|had|in|on|at|of|with|there|appear|will|would|you|that|who"
    r"|which|the|a)\b|[?.,]|$)",
    re.IGNORECASE,
)
_ASKED_HAN = re.compile(
    r"(?:多少|几|幾)[个個只隻名位辆輛张張条條匹头頭朵本支把件]?(?P<thing>[\u4e00-\u9fff]{1,5}?)[？?。]*$"
)
_NOT_PART = re.compile(
    r"\b(?:not|no|or|than|excluding|so|total|altogether|all|sum|therefore|thus|each|every|per)\b|n['’]t\b|[=?+×]",
    re.IGNORECASE,
)
_ENDS_PART = re.compile(r"[,.;:()\d]|\band\b", re.IGNORECASE)
_SIZE = r"(?:more|less|fewer|cheaper|larger|smaller|higher|lower|bigger|greater)"
_DIFFERENCE = re.compile(
    rf"{_NUMBER} ?(?:%|percent(?:age points?)?|per cent|dollars?|euros?|pounds?|yuan|[$€£])? ?"
    rf"{_SIZE}(?: [a-z]+){{0,2}} than\b(?! (?:zero|0|freezing)\b)",
    re.IGNORECASE,
)
_ASKS_DIFFERENCE = re.compile(
    r"\b(?:than|differ\w*|compared|more|fewer|less|extra|additional|chang\w+|increas\w+|decreas\w+|gr[eo]w\w*|ris\w+"
    r"|rose|fall\w*|fell|drop\w*|exceed\w*|gain\w*|lost|los\w+|[a-z]{2,}er (?:is|are|was|were))\b",
    re.IGNORECASE,
)
_DIRECTIONS = {
    "tall": "up", "high": "up", "height": "up", "long": "along", "length": "along", "wide": "across",
    "broad": "across", "width": "across", "deep": "down", "depth": "down", "thick": "through", "thickness": "through",
    "away": "apart", "apart": "apart", "far": "apart", "distance": "apart", "distant": "apart",
}  # fmt: skip
_FROM_THING = r"from (?:the|its|his|her|a|an) (?![^,.;]*\b(?:to|end|start|top|bottom|base|ground|floor)\b)"
_MEASURED = re.compile(
    rf"{_NUMBER}[ -]?[a-z]+\.? (?P<said>tall|high|long|wide|broad|deep|thick|away|apart|{_FROM_THING})", re.IGNORECASE
)
_ASKS_DIRECTION = re.compile(
    r"\b(?:how (?P<how>tall|high|long|wide|broad|deep|thick|far)"
    r"|what is the (?P<what>height|length|width|depth|thickness|distance))\b"
    r"|\bhow many [a-z]+ (?P<many>tall|high|long|wide|broad|deep|thick|away|apart)\b",
    re.IGNORECASE,
)
_ALONG = frozenset(("along", "apart"))  # a jump of 5 m is 5 m far and 5 m long
_FORMER = re.compile(r"\bused to (?:be|have)\b", re.IGNORECASE)
_ASKS_FORMER = re.compile(r"\b(?:used to|originally|initially|before|formerly|first|was|were|did|had)\b", re.IGNORECASE)
_WORD = re.compile(r"[a-z]+")
_FILLERS = frozenset(("the", "a", "an", "of", "in", "on", "at", "to", "there", "is", "are", "and", "visible"))


def part_asked(answer: str, question: str) -> str | None:
    """Return the text with the number that `question` counts: "2" of "5 people, including 2 children"; else None.

    The words of the part have to be asked for and missing from what stands in front, and both together have to be all
    the words behind "how many": asked for red cars, "3 cars, 1 of which is red" is 1.
    """
    if (han := _ASKED_HAN.search(question)) and "其中" in answer:
        whole, _, part = answer.partition("其中")
        return whole.rstrip("，,。 ") if han["thing"] in whole else part if han["thing"] in part else None
    asked = _ASKED.search(question)
    if asked is None or find_unit(asked["thing"]) or len(answer) > _LONGEST or _NOT_PART.search(answer):
        return None
    _, *later = _NUMBERS.finditer(answer) if _NUMBERS.search(answer) else (None,)
    wanted = _stems(asked["thing"])
    ahead = _stems(answer[: later[0].start()]) if later else frozenset()
    parts = [(found[0].strip(".,"), _stems(_ENDS_PART.split(answer[found.end() :])[0])) for found in later]
    named = [(number, words) for number, words in parts if (words & wanted) - ahead]
    return named[0][0] if len(named) == 1 and wanted <= ahead | named[0][1] else None


def counts_other(answer: str, question: str) -> bool:
    """Tell whether an answer's number is a difference, of another direction, of the past, or beside "no" of what is
    asked, where `question` asks for none of these.
    """
    if len(answer) > _LONGEST:
        return False
    if _DIFFERENCE.search(answer) and not _ASKS_DIFFERENCE.search(question):
        return True
    if _FORMER.search(answer) and not _ASKS_FORMER.search(question):
        return True
    return _other_direction(answer, question) or _none_of_asked(answer, question)


def _other_direction(answer: str, question: str) -> bool:
    """Tell whether a measure is said of another direction than the one that is asked for."""
    asked = {_direction(found[0].split()[-1]) for found in _ASKS_DIRECTION.finditer(question)}
    said = {_direction(found["said"]) for found in _MEASURED.finditer(answer)}
    alone = len(_NUMBERS.findall(answer)) == 1
    return alone and len(asked) == 1 and bool(said) and said.isdisjoint(_ALONG if asked & _ALONG else asked)


def _direction(word: str) -> str:
    return _DIRECTIONS.get(word.lower(), "apart")


def _none_of_asked(answer: str, question: str) -> bool:
    """Tell whether an answer says "no cats" beside a number where cats are counted."""
    asked = _ASKED.search(question)
    none = rf"\bno {re.escape(asked['thing'])}\b(?! (?:other|except|but|besides|apart|more))" if asked else None
    return none is not None and re.search(none, answer, re.IGNORECASE) is not None and bool(re.search(_NUMBER, answer))


def _stems(text: str) -> frozenset[str]:
    """Return the words of a text without fillers, numbers and the s of a plural."""
    words = set(_WORD.findall(text.lower())) - _FILLERS - {*SMALL, *TENS}
    return frozenset(word.rstrip("s") for word in words)
