"""Answers that people correct on the way: "not A but B", 不是4,是5, "5, wait, no, it is 7"; the last one counts."""

from __future__ import annotations

import re

_IT_IS = r"(?:it is|it's|it was|that is|that's|they are|there are|this is|the (?:\w+ )?answer is|make (?:it|that))"
_BUT = (
    rf"(?:,? but(?: rather| instead)?(?: {_IT_IS})?(?! (?:also|not|maybe|perhaps|possibly)\b)"
    rf"|[,;.] (?:but |rather |instead,? )?{_IT_IS}(?! not\b)|[,;] (?:rather|instead),?)"
)
_HAN_BUT = r"[,;.。，；]? ?(?:而是|而选|而應?选|应该?[是选为]|應該?[是選為]|选|選|是|为)"
_HAN_NOT = r"(?:不是|并不是|並不是|并非|並非|不选|不選|不应该?选|不应该?是)"
_MEASURE = r"[^\d]{0,20}?"
_ONLY = r"(?!(?:only|just|merely|simply|necessarily)\b)"
INSTEAD = re.compile(
    rf"(?:(?:not|n't) {_ONLY}(?P<denied>.{{1,60}}?){_BUT} ?:? ?|{_HAN_NOT} ?(?P<han>.{{1,30}}?){_HAN_BUT} ?:? ?"
    rf"|(?:instead of|rather than) (?P<other>.{{1,60}}?), (?:{_IT_IS} )?)"
    r"(?P<given>\S.*)",
    re.IGNORECASE | re.DOTALL,
)
"""Matches "not A but B", from its first word on."""
_OVER = (
    r"\bwait[\s,.!…-]+(?:no|nope)\b|\b(?:oh )?no,? wait\b|\b(?:scratch|strike) that\b|\bcorrection\s*:|更正|哦不|噢不"
    r"|(?:等等|等一下)[,，.。]?\s*不对|(?<=[,，.。;；])\s*(?:不对|不對)\s*[,，.。]\s*(?=.*[\da-zA-Z一二三四五六七八九十])"
)
_MAYBE = (
    r"(?<=[,.;!?…] )(?:wait|hmm|sorry|i mean(?:t)?)\b|(?<=\? )(?:no|nope)\b(?! (?:doubt|question|problem|wonder)s?\b)"
    rf"|(?<=[,.;!…] )(?:no|nope),(?= )|(?<=[,.;!?…] )actually,?(?= (?:no\b|{_IT_IS}\b|\S+\s*$))|(?:等等|等一下)[,，.。]"
)
_CORRECTION = re.compile(rf"(?:(?P<over>{_OVER})|{_MAYBE})[\s,.:;!…—-]*", re.IGNORECASE)
_WORD = r"[^\W\d_]+(?:[ -][^\W\d_]+)?"
_WORDS = (
    re.compile(rf"\b(?:not|n't) {_ONLY}({_WORD}){_BUT}", re.IGNORECASE),
    re.compile(rf"{_HAN_NOT} ?([\u4e00-\u9fff]{{1,6}}?){_HAN_BUT}"),
    re.compile(rf",? (?:and |but )?(?:not|rather than|instead of) ({_WORD})[\s.!]*$", re.IGNORECASE),
    re.compile(r"[,，;]? ?(?:而?不是|而非)([\u4e00-\u9fff]{1,6})[\s.。]*$"),
)


def corrected(text: str) -> tuple[str, bool] | None:
    """Return (what stands behind the last correction, whether what stands before it is over); None without one.

    "5, wait, no, it is 7" is over and leaves "it is 7"; of "5, I mean it" the rest may name nothing, and 5 stands.
    """
    found = list(_CORRECTION.finditer(text))
    return (text[found[-1].end() :], any(match["over"] for match in found)) if found else None


def without_alternatives(line: str, number: str) -> str:
    """Return a text without the numbers that its own is set against: "5" of "5, not 6" and of "not 6 but 5".

    number: the pattern of one.
    """
    behind = re.search(
        r"(?<!\bis)(?<!\bare)(?<!\bwas)(?<!'s)"
        rf"[,;]?\s*(?:\b(?:and|but) )?(?:\bnot|\brather than|\binstead of|而?不是|而非)"
        rf"\s*{number}[^\d]*$",
        line,
        re.IGNORECASE,
    )
    if behind and re.search(r"\d", line[: behind.start()]):
        return line[: behind.start()]
    ahead = (
        rf"(?:(?:\bnot|n't)\s*{number}{_MEASURE}{_BUT}|{_HAN_NOT}\s*{number}{_MEASURE}{_HAN_BUT})(?=[^\d]{{0,20}}\d)"
    )
    return re.sub(ahead, " ", line, count=1, flags=re.IGNORECASE)


def words_set_aside(text: str) -> list[tuple[str, str]]:
    """Return (what is denied, the text without it) for each "not four but five", "five, not four", 不是四,是五."""
    found = [match for pattern in _WORDS if (match := pattern.search(text))]
    return [(match[1], f"{text[: match.start()]} {text[match.end() :]}".strip()) for match in found]
