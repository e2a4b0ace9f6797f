"""Answers that people correct on the way: "not A but B", 不是4,是5, "5, wait, no, it is 7"; the last one counts."""

from __future__ import annotations

import re

from ral.rewards.first_thoughts import FIRST_SAID, FIRST_SAID_HAN, IT_IS, ON_REFLECTION, SEEMS, WHAT_IS_ASKED

_BUT = (
    rf"(?:,? but(?: rather| instead)?(?: {IT_IS})?(?! (?:also|not|maybe|perhaps|possibly)\b)"
    rf"|[,;.] (?:but |rather |instead,? )?{IT_IS}(?! not\b)|[,;] (?:rather|instead),?)"
)
_HAN_BUT = r"[,;.。，；]? ?(?:而是|而选|而應?选|应该?[是选为]|應該?[是選為]|选|選|是|为)"
_HAN_NOT = r"(?:不是|并不是|並不是|并非|並非|不选|不選|不应该?选|不应该?是)"
_MEASURE = r"[^\d]{0,20}?"
_ONLY = r"(?!(?:only|just|merely|simply|necessarily)\b)"
INSTEAD = re.compile(
    rf"(?:(?:not|n't) {_ONLY}(?P<denied>.{{1,60}}?){_BUT} ?:? ?|{_HAN_NOT} ?(?P<han>.{{1,30}}?){_HAN_BUT} ?:? ?"
    rf"|(?:instead of|rather than) (?P<other>.{{1,60}}?), (?:{IT_IS} )?)"
    r"(?P<given>\S.*)",
    re.IGNORECASE | re.DOTALL,
)
"""Matches "not A but B", from its first word on."""
_OVER = (
    rf"\b(?:{ON_REFLECTION})(?=\s*[,:—-]\s*\w|\s+{IT_IS}|\s+i (?:now )?(?:think|choose|pick|say|believe))"
    r"|\bwait[\s,.!…-]+(?:no|nope)\b|\b(?:oh )?no,? wait\b|\b(?:scratch|strike) that\b|\bcorrection\s*:|更正|哦不|噢不"
    r"|(?:等等|等一下)[,，.。]?\s*不对|(?<=[,，.。;；])\s*(?:不对|不對)\s*[,，.。]\s*(?=.*[\da-zA-Z一二两兩三四五六七八九十])"
)
_MAYBE = (
    r"(?<=[,.;!?…] )(?:wait|hmm|sorry|i mean(?:t)?)\b|(?<=\? )(?:no|nope)\b(?! (?:doubt|question|problem|wonder)s?\b)"
    rf"|(?<=[,.;!…] )(?:no|nope),(?= )|(?<=[,.;!?…] )actually,?(?= (?:no\b|{IT_IS}\b|\S+\s*$))|(?:等等|等一下)[,，.。]"
)
_CORRECTION = re.compile(rf"(?:(?P<over>{_OVER})|{_MAYBE})[\s,.:;!…—-]*", re.IGNORECASE)
_WORD = r"[^\W\d_]+(?:[ -][^\W\d_]+)?"
_WORDS = (
    re.compile(rf"\b(?:not|n't) {_ONLY}({_WORD}){_BUT}", re.IGNORECASE),
    re.compile(rf"{_HAN_NOT} ?([\u4e00-\u9fff]{{1,6}}?){_HAN_BUT}"),
    re.compile(rf",? (?:and |but )?(?:not|rather than|instead of) ({_WORD})[\s.!]*$", re.IGNORECASE),
    re.compile(r"[,，;]? ?(?:而?不是|而非)([\u4e00-\u9fff]{1,6})[\s.。]*$"),
)


_ONE = r"[(\[]?(?:[A-Z]|(?>\d+(?:[.,]\d+)*))[)\]]?"
_LIST = rf"(?P<%s>{_ONE}(?:(?:, ?| and | or | nor |, (?:and|or) |、|和){_ONE}){{0,8}})"
_SO = (
    r"(?:[,;.:]? (?:so|thus|therefore|hence|but|and|while|which leaves|leaving|then)"
    r"(?: (?:only|us with))?,?|[,;.:]) (?=\S)"
)
_BECAUSE = (
    r" (?:because|since|as) [^.;]{1,80}?[,;.] (?:so|thus|therefore|hence|which leaves|leaving)"
    r"(?: (?:only|us with))?,? (?=\S)"
)
_THE_ONE = r"(?:right|correct|it|true|the (?:right |correct )?answer)"
_RULED = (
    rf"(?:options? |choices? )?{_LIST % 'ruled'} (?:is|are|was|seems|looks|must be|can't be|cannot be|isn't|aren't)"
    r"(?: (?:clearly|obviously|definitely|certainly|just|simply|also|both|all))?"
    rf"(?: (?:not|n't) {_THE_ONE}| (?:wrong|incorrect|false|out|ruled out|impossible)"
    rf"|(?<=n't) {_THE_ONE}|(?<=be) (?:right|correct|it|true))(?:{_BECAUSE}|{_SO})"
    rf"|(?:it )?(?:is not|isn't|'s not|cannot be|can't be|not) {_LIST % 'denied'}"
    r"(?:, | )(?:so|thus|hence|therefore|which leaves) (?=\S)"
    rf"|(?:the )?(?:wrong|incorrect|false) {WHAT_IS_ASKED}s are {_LIST % 'wrong'}{_SO}"
    rf"|{_LIST % 'asked'}\? (?:wrong|incorrect|nope|no)[.!,] (?=\S)"
    rf"|{_LIST % 'han'}(?:项|選項|选项)?(?:是|都|均)*"
    r"(?:错误?的?|錯誤?的?|不是|不对|不對|不正确|不正確|有误)[,，。;；] ?(?:所以|因此|故)?(?=\S)"
)
_INSTEAD = r"(?:so|but|rather|instead|thus|hence|therefore)"
_NEITHER = (
    r"(?:it(?:'s| is) )?(?:neither|not) (?P<neither>[^.;:]{1,40}? nor [^.;,:]{1,40}?)"
    rf"(?: (?:is|are|was|were|seems?|fits?|works?)(?: {_THE_ONE})?)?"
    rf"(?:(?:[.;,:—]+|-+(?!\w)|(?<!\w)-+) ?(?:{_INSTEAD},? )?|,? {_INSTEAD},? | (?={IT_IS}))"
    r"(?!(?:because|since|as|and|nor)\b)(?=\S)"
    r"|(?:答案)?(?:既|也|都|并)?(?:不是|非) ?"
    r"(?P<neither_han>[^,，.。;；]{1,20}?[,，]?(?:也|又|更)(?:不是|非) ?[^,，.。;；]{1,20}?)"
    r"[,，.。;；]\s*(?:而)?(?=(?:应该?|應該?)?[是选選]|答案|正确|正確|\W*\w\W*$)"
)
_SET_ASIDE = re.compile(rf"[^\w(\[]*(?:{FIRST_SAID}|{FIRST_SAID_HAN}|{_NEITHER}|{_RULED})", re.IGNORECASE | re.DOTALL)
_RATHER = re.compile(
    r"\W*(?:rather|sooner|more likely) ([^,;.]{1,40}?) than ([^,;.]{1,40}?)[\s.!]*", re.IGNORECASE | re.DOTALL
)


_ASIDE = ("ruled", "denied", "asked", "han", "wrong", "neither", "neither_han")


def _ends_with(text: str, ruled: str) -> bool:
    """Tell whether a text ends with one of the letters or numbers that were ruled out in front of it."""
    names = re.findall(r"(?<![^\W\u3400-\u9fff])[A-Z](?![A-Za-z])|\d[\d.,]*(?<=\d)", ruled, re.IGNORECASE)
    pattern = "|".join(map(re.escape, names))
    return (
        bool(names)
        and re.search(rf"(?<!not )(?<!not \()(?<!than )(?<!\w)(?:{pattern})\W*$", text, re.IGNORECASE) is not None
    )


def corrected(text: str) -> tuple[str, bool] | None:
    """Return (the text behind the last correction, whether the text before it is given up); None for no correction.

    "5, wait, no, it is 7" gives ("it is 7", True). Of "5, I mean it" the rest names nothing and 5 is not given up:
    False. "I first thought A, but it is B" leaves "it is B", "A is wrong, so B" leaves "B", and "rather B than A"
    leaves "B". The text is "" where it ends with an option or number that was ruled out in front.
    """
    if aside := _SET_ASIDE.match(text):
        rest = text[aside.end() :]
        return "" if _ends_with(rest, next((aside[name] for name in _ASIDE if aside[name]), "")) else rest, True
    if rather := _RATHER.fullmatch(text):
        return rather[1], True
    if seems := SEEMS.match(text):
        return text[seems.end() :], False
    found = list(_CORRECTION.finditer(text))
    return (text[found[-1].end() :], any(match["over"] for match in found)) if found else None


def without_alternatives(line: str, number: str) -> str:
    """Return `line` without the number that it denies beside its own: "5" of "5, not 6" and of "not 6 but 5".

    number: the regular expression of a number.
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
    """Return (the denied word, the text without it) for each "not four but five", "five, not four", 不是四,是五."""
    found = [match for pattern in _WORDS if (match := pattern.search(text))]
    return [(match[1], f"{text[: match.start()]} {text[match.end() :]}".strip()) for match in found]
