"""Counts that a sentence says more about: "4 of the 6 people", "5 people, including 2 children", "3 dogs and no cats".

`counted` leaves the count alone; what holds another number that does not belong to it stays as it is.
"""

from __future__ import annotations

import re

from ral.rewards.number_words import SMALL

_WORDS = "|".join(sorted(SMALL, key=len, reverse=True))
_N = rf"(?:(?<![\d.,/%$-])\d{{1,6}}(?![\d/%:]|[.,]\d)|\b(?:{_WORDS})\b)"
_NUMBER = re.compile(_N, re.IGNORECASE)
_END = r"[\s.!]*$"
_AND_NONE = re.compile(
    rf"(?:\s*,)?\s+(?:(?:and|but|with) )?no (?!more|less|fewer|other|one\b|idea|doubt|number|answer)"
    rf"[^\W\d_]+(?: [^\W\d_]+)?(?: or [^\W\d_]+)?{_END}",
    re.IGNORECASE,
)
_PLACE = (
    r"(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|last|1st|2nd|3rd|\d{1,3}th)"
    r" (?:frame|image|picture|photo|scene|clip|video|row|column|line|panel|shot|half|floor|shelf|table|chart|figure)"
)
_SEEN = re.compile(rf"\s+(?:in|on|of|at|from|during) the {_PLACE}{_END}", re.IGNORECASE)
_VERB = r"(?:is|are|was|were|has|have|had|can|do|does|did|seem|look|wear|show|hold|stand|sit)"
_OF_THESE = re.compile(
    rf"(?P<part>{_N}) of (?:the|these|those|all|all the) (?P<whole>{_N})"
    rf"(?=(?: (?!and\b|or\b)[^\W\d_]+){{0,3}} {_VERB}\b)",
    re.IGNORECASE,
)
_ONE_OF = re.compile(r"\b(?:it|he|she|this|that)(?:'s| is| was)\s*$", re.IGNORECASE)
_OF_THE = re.compile(
    rf"^(?P<ahead>(?:only |just |exactly |there are )?)(?P<part>{_N}) of (?:the|these|those) (?=[a-z])", re.I
)
_SOME_OF_THEM = re.compile(
    rf"(?P<ahead>\D*?(?P<whole>{_N})(?: [^\W\d_]+){{0,3}}),?"
    rf" (?:including (?P<of>{_N})|(?P<them>{_N}) of (?:whom|which|them)\b)"
    rf"[^\d,;]*{_END}",
    re.IGNORECASE,
)
_COLOUR = (
    r"(?:black|white|red|blue|green|yellow|orange|brown|gr[ae]y|pink|purple|silver|gold|dark|light|big|small|large|tall"
    r"|short|old|young|male|female|open|closed|full|empty)"
)
_LIKE = (
    rf"(?:of (?:them|which|whom) )?(?:is |are )?(?:{_COLOUR}\b(?! (?!and\b)[^\W\d_]+)|[^\W\d_]+ing\b"
    r"|(?:on|in|at|behind|near|under|above)\b)"
)
_PARTS = re.compile(
    rf"(?P<end>\D*?(?P<said>{_N})(?: [^\W\d_]+){{0,3}}?)\s*(?P<mark>[(:,])\s*(?P<parts>[^()?]*)\)?{_END}", re.IGNORECASE
)
_NOT_ADDED = re.compile(r"[-*/×+=]\s*\d|\b(?:or|not|without|less|minus|times)\b", re.IGNORECASE)
_REASON = re.compile(
    rf"(?P<end>(?:the |my )?(?:(?:final|correct|right|total) )?(?:answer|total|count|number)"
    rf"(?: of [^\d,;]{{1,40}}?)? is {_N}),?"
    r" (?:since|because|as) (?P<why>.+)",
    re.IGNORECASE | re.DOTALL,
)
_CONCLUDES = re.compile(r"\b(?:so|therefore|thus|hence|total|altogether|wait|actually|but|answer)\b", re.IGNORECASE)
_MOMENT = r"\d{1,3}(?::[0-5]\d|(?:\.\d+)? ?(?:s|sec|seconds?)\b)"
_DONE = re.compile(
    rf"(?:(?P<who>[^\d,;:.?()]{{0,60}}?) )?(?:(?:a total of|exactly|only|just) )?(?P<times>{_N}) times"
    r"(?: in (?:the|this) (?:video|clip|scene)| during the first \d+ ?(?:s|seconds?|minutes?))?"
    rf"(?:,? \((?:at )?(?P<moments>{_MOMENT}(?:(?:, and|,| and) {_MOMENT})*)\))?{_END}",
    re.IGNORECASE,
)
_TOLD = re.compile(r"(?:he|she|it|the [^\W\d_]+(?: [^\W\d_]+)?) [^\W\d_]+(?:s|ed)(?: [^\W\d_]+){0,4}", re.IGNORECASE)
_NOT_TOLD = re.compile(
    rf"\b(?:not|never|no|or|and|less|more|fewer|than|least|most|over|under|almost|nearly|about|maybe|perhaps|probably"
    rf"|is|was|does|if|whether|{_WORDS})\b|n['’]t\b",
    re.IGNORECASE,
)


def times_done(text: str) -> str | None:
    """Return the number of times that a sentence tells, as written: "four" of "The person claps four times"; else None.

    Where moments are listed behind it, "(at 0:02, 0:03, 0:05 and 0:07)", there have to be as many. None also for a
    sentence that denies, doubts or compares, or holds another number.
    """
    found = _DONE.fullmatch(text.strip())
    if found is None or (found["who"] and (not _TOLD.fullmatch(found["who"]) or _NOT_TOLD.search(found["who"]))):
        return None
    moments = re.findall(_MOMENT, found["moments"] or "")
    return found["times"] if not moments or len(moments) == _value(found["times"]) else None


def counted(text: str) -> str | None:
    """Return a sentence with its count alone; None where it says nothing more about the count.

    "N of the M people are", with a verb, is the count N where N is no more than M. "N of the M people" without a verb
    stays as it is: it may be a share, as "N out of M" and "N in M" are. Parts ("2 cats, 1 black and 1 white") have to
    add up to the count.
    """
    rest = _SEEN.sub("", _AND_NONE.sub("", text))
    rest = _OF_THESE.sub(_part, rest)
    rest = _OF_THE.sub(_of_the, rest)
    for read in (_explained, _with_parts, _with_some):
        rest = read(rest)
    return rest if rest != text else None


def _part(found: re.Match[str]) -> str:
    """Return "4" for "4 of the 6"; a part larger than its whole, and "it is one of the two", stay as they are."""
    if _value(found["part"]) == 1 and _ONE_OF.search(found.string[: found.start()]):
        return found[0]
    return found["part"] if _value(found["part"]) <= _value(found["whole"]) else found[0]


def _of_the(found: re.Match[str]) -> str:
    """Return "four" of "four of the"; "one of the" is a phrase, unless "only" stands in front."""
    single = _value(found["part"]) == 1 and not found["ahead"].strip().lower().startswith(("only", "just", "exactly"))
    return found[0] if single else f"{found['ahead']}{found['part']} "


def _explained(text: str) -> str:
    """Return "The answer is 4" of "The answer is 4, since 2 are hidden"; a reason that concludes anything stays."""
    found = _REASON.fullmatch(text)
    return found["end"] if found and not _CONCLUDES.search(found["why"]) else text


def _with_parts(text: str) -> str:
    """Return a count without the parts behind it that add up to it."""
    found = _PARTS.fullmatch(text)
    if found is None or _NOT_ADDED.search(found["parts"]):
        return text
    parts = list(_NUMBER.finditer(found["parts"]))
    if len(parts) < 2 or sum(_value(part[0]) for part in parts) != _value(found["said"]):
        return text
    listed = found["mark"] == ","  # "2 cats, 1 dog and 1 bird" goes on counting
    alike = all(re.match(rf"\s*{_LIKE}", found["parts"][part.end() :], re.IGNORECASE) for part in parts)
    return found["end"] if alike or not listed else text


def _with_some(text: str) -> str:
    """Return "5 people" of "5 people, including 2 children"; a part is no more than its whole."""
    found = _SOME_OF_THEM.fullmatch(text)
    if found is None or _value(found["of"] or found["them"]) > _value(found["whole"]):
        return text
    return found["ahead"]


def _value(number: str) -> int:
    """Return the value of a count in digits or as a small word."""
    return int(number) if number.isdigit() else SMALL[number.lower()]
