"""Answers that people correct on the way: "not A but B", 不是4,是5, "5, wait, no, it is 7"; the last one counts."""

from __future__ import annotations

import re

_WHAT_IS_ASKED = r"(?:answer|number|count|total|result|value|figure|sum|amount|option|choice|letter|one)"
_IT_IS = (
    r"(?:it is|it's|it was|that is|that's|they are|there are|this is|make (?:it|that)"
    rf"|the (?:\w+ ){{0,2}}?{_WHAT_IS_ASKED} (?:is|was|should be|must be|would be))"
)
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
_ON_REFLECTION = (
    r"(?:up)?on (?:second thoughts?|(?:further |second |closer |careful )?(?:reflection|inspection|consideration|look|count))"
    r"|after (?:a (?:closer|second|more careful|careful) )(?:look|count|check|inspection)"
    r"|after (?:checking|counting|looking|thinking|reviewing|reconsidering)(?: it)?(?=,)"
    r"|(?:after )?(?:looking|counting|checking|thinking)(?: about it)? (?:again|more carefully|more closely|once more)"
)
_OVER = (
    rf"\b(?:{_ON_REFLECTION})(?=\s*[,:—-]\s*\w|\s+{_IT_IS}|\s+i (?:now )?(?:think|choose|pick|say|believe))"
    r"|\bwait[\s,.!…-]+(?:no|nope)\b|\b(?:oh )?no,? wait\b|\b(?:scratch|strike) that\b|\bcorrection\s*:|更正|哦不|噢不"
    r"|(?:等等|等一下)[,，.。]?\s*不对|(?<=[,，.。;；])\s*(?:不对|不對)\s*[,，.。]\s*(?=.*[\da-zA-Z一二两兩三四五六七八九十])"
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


_SAY = (
    r"(?:thought|said|guessed|believed|chose|picked|answered|assumed|suspected|supposed|considered|figured|wrote"
    r"|counted|(?:was|were) (?:going|about) to (?:say|choose|pick|answer)|almost (?:said|chose|picked))"
)
_FIRST = r"(?:(?:very )?first|initial|original|earlier|previous|immediate)"
_AT_FIRST = r"at first(?: sight| glance)?|initially|originally"
_GUESS = r"(?:guess|thought|answer|choice|pick|count|estimate|instinct|impression|intuition|reading|idea|reaction)"
_BEFORE = (
    rf"(?:(?:my|the) {_FIRST} {_GUESS}|(?:(?:{_AT_FIRST}),? )?my {_GUESS}(?= (?:was|had been|said)))(?: (?:was|is|had been|would be|would have been|said))?(?: that)?"
    r"(?: (?:it|the answer) (?:was|is))?:?"
)
_FIRST_SAID = (
    rf"(?:{_BEFORE}|(?:i was |i'm |i am )?torn between(?= .{{1,40}} and )|(?=[^.;,]{{1,40}}? (?:{_AT_FIRST}),? but)"
    rf"|(?:{_AT_FIRST}),?(?: (?:it|this|that) (?:seems?|seemed|looks?|looked|appears?|appeared)(?: like| to be)?)?(?! i\b)|(?:(?:at first|initially|originally|first),? )?(?:i|we) (?:had |have )?(?:(?:at )?first |initially |originally )?"
    rf"{_SAY}(?: (?:at first|initially|originally))?(?: that)?(?: (?:it|the answer) (?:was|is|would be|might be))?)"
    rf"(?: |(?<!\w)(?=\w))(?!nothing|about)[^.;,]{{1,40}}?(?: (?:{_AT_FIRST}))?"
    r"(?:,? (?:but|yet|however,?|although|and now|then)|[;.,] ?(?:but|however,?|now|then|actually,?)?) "
    rf"(?:(?:now|then|actually|in fact|really|{_ON_REFLECTION}),? )?(?={_IT_IS}|\W*\w+\W*$|\d"
    r"|i(?:'d|'ll| would| will)? (?:now )?(?:think|choose|pick|say|believe|go with|settle on|opt for|answer)"
    r"|(?:now )?(?:it|that) (?:seems|must|should)"
    r"|(?:i|it|that|this) (?:was|am|is|may be|might be) (?:wrong|mistaken|a mistake))"
    r"(?:now )?"
)
_FIRST_SAID_HAN = (
    r"我?(?:一开始|一開始|先|原来|原來|起初|原本|原先|最初|本来|本來|原|刚才|剛才)我?"
    r"(?:以为|以為|认为|認為|觉得|覺得|选了?|選了?|猜|说|說)"
    r"(?:答案)?(?:是|为|為)?[^,，。;；]{1,20}?[,，。;；] ?"
    r"(?:但|但是|不过|可|可是|后来|现在|其实|實際上|实际上|發現|发现){0,3}"
    r"(?:(?:改|换|換)(?:成|为|為|选|選)了?)?(?=应|應|是|选|選|答案|正确|正確|\W*\w\W*$|\d)"
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
    rf"|(?:the )?(?:wrong|incorrect|false) {_WHAT_IS_ASKED}s are {_LIST % 'wrong'}{_SO}"
    rf"|{_LIST % 'asked'}\? (?:wrong|incorrect|nope|no)[.!,] (?=\S)"
    rf"|{_LIST % 'han'}(?:项|選項|选项)?(?:是|都|均)*"
    r"(?:错误?的?|錯誤?的?|不是|不对|不對|不正确|不正確|有误)[,，。;；] ?(?:所以|因此|故)?(?=\S)"
)
_INSTEAD = r"(?:so|but|rather|instead|thus|hence|therefore)"
_NEITHER = (
    r"(?:it(?:'s| is) )?(?:neither|not) (?P<neither>[^.;:]{1,40}? nor [^.;,:]{1,40}?)"
    rf"(?: (?:is|are|was|were|seems?|fits?|works?)(?: {_THE_ONE})?)?"
    rf"(?:[.;,:—-]+ ?(?:{_INSTEAD},? )?|,? {_INSTEAD},? | (?={_IT_IS}))(?!(?:because|since|as|and|nor)\b)(?=\S)"
    r"|(?:答案)?(?:既|也|都|并)?(?:不是|非) ?(?P<neither_han>[^,，.。;；]{1,20}?[,，]?(?:也|又|更)(?:不是|非) ?[^,，.。;；]{1,20}?)"
    r"[,，.。;；]\s*(?:而)?(?=(?:应该?|應該?)?[是选選]|答案|正确|正確|\W*\w\W*$)"
)
_SEEMS = re.compile(
    r"\W*(?:(?:it|this|that) )?(?:(?:looks?|looked|seems?|seemed|appears?|appeared) (?:like|to be|as if it(?:'s| is))"
    rf"|(?:could|might|may) (?:be|have been)) [^.;]{{1,40}}?,? (?:but|yet|however) (?={_IT_IS})",
    re.IGNORECASE,
)
_SET_ASIDE = re.compile(rf"[^\w(\[]*(?:{_FIRST_SAID}|{_FIRST_SAID_HAN}|{_NEITHER}|{_RULED})", re.IGNORECASE | re.DOTALL)
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
    """Return (what stands behind the last correction, whether what stands before it is over); None without one.

    "5, wait, no, it is 7" is over and leaves "it is 7"; of "5, I mean it" the rest may name nothing, and 5 stands. So
    does "I first thought A, but it is B" leave "it is B", "A is wrong, so B" B, and "rather B than A" B.
    """
    if aside := _SET_ASIDE.match(text):
        rest = text[aside.end() :]
        return "" if _ends_with(rest, next((aside[name] for name in _ASIDE if aside[name]), "")) else rest, True
    if rather := _RATHER.fullmatch(text):
        return rather[1], True
    if seems := _SEEMS.match(text):
        return text[seems.end() :], False
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
