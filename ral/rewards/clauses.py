"""Numbers of a sentence that are not its answer: a year, a date, a time, the whole of a part; and what sums come to.

"In 2015, the value was 5", "Of the 8 balls, 5 are red" and "3 plus 2 equals 5" are 5.
"""

from __future__ import annotations

import re

from ral.rewards.number_words import read_words

_YEAR = r"(?:1[0-9]|20)\d\d(?!\d|[.,]\d)"
_MONTH = (
    r"(?:january|february|march|april|may|june|july|august|september|october|november|december"
    r"|(?:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)(?![a-z])\.?)"
)
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_QUARTER = (
    rf"(?:(?:Q|H)[1-4](?:[ ,/-]| of |')*(?:FY ?)?{_YEAR}|{_YEAR}[ -]?(?:Q|H)[1-4](?!\d)"
    r"|(?:FY|CY) ?'?\d\d(?:\d\d)?(?!\d))"
)
_DATE = (
    rf"(?:{_QUARTER}|(?:{_MONTH} {_DAY}|{_DAY} (?:of )?{_MONTH})(?:,? {_YEAR})?"
    rf"|{_MONTH},? {_YEAR}|\d{{4}}-\d\d-\d\d)"
)
_CLOCK = r"\d{1,2}:[0-5]\d(?::[0-5]\d)?(?: ?[ap]\.?m\b\.?)?"
_SPAN = r"\d+(?:\.\d+)? ?(?:s|sec|seconds?|min|minutes?|h|hours?|days?|weeks?|months?|years?)\b"
_WHEN = (
    rf"(?:in|by|during|since|until|around|on|as of|at the end of|for|im jahre?|en|em|nel|in the year|by the year)"
    rf" {_YEAR}"
    rf"|(?:in|on|by|during|since|until|as of) {_DATE}|(?:between|from) {_YEAR} (?:and|to) {_YEAR}"
)
_AT = rf"(?:at|by|around) {_CLOCK}|(?:at|after|within|in|by|before|at t =|during the first) {_SPAN}"
_OF_ALL = r"(?:out )?of (?:(?:the|all|these|those|all the) )?\d+(?: [^\W\d_]+){0,3}"
_FIRST = re.compile(rf"\s*(?:{_WHEN}|{_AT}|{_OF_ALL})\s*,\s*|\s*(?:{_WHEN})\s+", re.IGNORECASE)
_LAST = re.compile(rf"[,;]?\s+(?:{_WHEN}|{_AT})[\s.!]*$", re.IGNORECASE)
_LABELLED = re.compile(
    r"\b(?:(?:in|on|from|at|according to|as shown in|see|for|of|between|and) )?(?:the )?"
    r"(?:tables?|figures?|fig\.|pages?|frames?|slides?|sections?|chapters?|questions?|steps?|panels?|images?|pictures?"
    r"|photos?|clips?|videos?|scenes?|graphs?|charts?|diagrams?|rooms?|players?|teams?|groups?|bus|route|gate"
    r"|platform|lane|level|floor|exercise|problem|example|no\.) ?#?\d+(?!\d|[.,]\d|[-–/%]|\s*[-+*/×=])[,:]?"
    rf"|\bat {_CLOCK},?",
    re.IGNORECASE,
)
_HAN = re.compile(
    rf"(?:在|于|截至|到)?{_YEAR}\s*年(?:\d{{1,2}}月)?+(?:\d{{1,2}}[日号])?+(?:底|末|初|时|的时候)?[,，]?\s*的?(?=\D*\d)"
)
_MONTH_OF_YEAR = re.compile(rf"\D{{0,12}}(?P<year>{_YEAR})\s*年\s*\d{{1,2}}\s*月(?:份)?[\s.。!]*")
DATED = re.compile(
    rf"\b{_MONTH},? (?:{_YEAR}|{_DAY}\b)|(?<!\d){_DAY} (?:of )?{_MONTH}(?![a-z])|\d年\s*\d{{1,2}}\s*月"
    r"|\d月\s*\d{1,2}\s*[日号號]",
    re.IGNORECASE,
)
"""Matches a date, of which a number is only a part."""
_REST = re.compile(r"\d")
_PERIOD = re.compile(
    rf"\s*\((?:in |for |as of )?(?:{_DATE}|{_YEAR})\)"
    rf"|(?<![\d-])(?:\b(?:in|for|of|during|on|as of|by) )?(?:the )?(?<!\w)"
    rf"(?:{_QUARTER}|(?:{_DAY} (?:of )?)?{_MONTH}(?: {_DAY},?)?,? {_YEAR})(?! ?(?:and|or|to)\b| ?[-–/])"
    rf"|(?<=[a-z]) (?:in|during) {_YEAR}(?= (?:was|is|were|are|stood at|had|equals|amounted to|came to)\b)",
    re.IGNORECASE,
)
_JOINED_BEHIND = re.compile(r" ?(?:and|or|to|not|than)\b|,? not\b", re.IGNORECASE)
_JOINED = re.compile(r"\b(?:and|or|to|than|not|n['’]t)\s*$|[-–/]\s*$", re.IGNORECASE)
_CHANGE = re.compile(
    r"(?P<said>[^?？]*\d[^?？,;(]*)[,;(]\s*(?:which is |that is )?(?:an? )?"
    r"(?:(?:up|down) from [\d.,]+ ?(?:%|percent)?(?: in \d{4})?"
    r"|(?:up|down|(?:an? )?(?:increase|decrease|rise|growth|drop|decline)(?: of)?)(?: by)? [\d.,]+ ?(?:%|percent)"
    r"(?: (?:from|compared (?:to|with)|over|versus|vs\.?|on|since|year)[^?？,;]*)?)\)?[\s.!]*",
    re.IGNORECASE,
)

_NAMED = re.compile(
    r"(?<![\w-])(?!(?:or|and|to|than|of|is|are|was|were|from|between|by|at|least|most|there|has|have|about|equals?|see"
    r"|the|a|an|in|on|for|with|only|exactly|not|plus|minus|times|over|under|above|below)\b)[^\W\d_]{2,} #?\d+"
    r"(?=[?.,;:)'’]|$| (?:is|are|was|were|has|have|had|do|does|did|can|in|on|at|and|or|with|from|to|of|[a-z]+)\b)",
    re.IGNORECASE,
)
"""Matches a number that a question uses as a name: "runner 7"."""

_OPERATOR = r"(?:plus|minus|times|multiplied by|divided by|added to)"
_EQUALS = r"(?:equals?|is equal to|makes?|gives?|is|are|=)"
_THING = rf"(?: (?!{_OPERATOR}|{_EQUALS} )[^\W\d_]+){{0,2}}"  # what is added up
_SUMMED = re.compile(
    rf"[^\d=]*(?:\d[\d.,]*{_THING}(?:\s*(?:[-+×x*·/÷]|{_OPERATOR})\s*-?\d[\d.,]*{_THING})+"
    r"|\b(?:sum|total|product|difference|average|mean) of \d[\d.]*(?:(?:,? and|,) \d[\d.]*)+)"
    rf"\s+{_EQUALS}\s+(?P<end>[^\d=]*\d[^=]*)",
    re.IGNORECASE,
)
_SPOKEN = re.compile(rf"(?P<sum>\D*? {_OPERATOR} \D*?)\s+{_EQUALS}\s+(?P<end>\S\D*)", re.IGNORECASE)
_BETWEEN = re.compile(rf" {_OPERATOR} ", re.IGNORECASE)
_CHAIN = re.compile(r"(?:[\d\s.+*/×x÷()-]*\d[\d\s.+*/×x÷()-]*=){2,}(?P<end>[^=]*\d[^=]*)")
_PER = re.compile(
    r"(?<![\d.,/])(\d+) (?:(?:out of(?: every| the)?|in every|von|sur|из) (\d+)|in (\d{1,3}))(?![\d/:]|[.,]\d)"
)


def without_times(text: str) -> str | None:
    """Return a sentence without the clauses that say when ("In 2015,") or of how many ("Of the 8 balls,").

    None where it has no such clause, or holds no digit beside them.
    """
    rest = _FIRST.sub("", text, count=1) if _FIRST.match(text) else text
    rest = _HAN.sub("", _LAST.sub("", rest), count=1)
    return rest if rest != text and _REST.search(rest) else None


def without_labels(text: str) -> str | None:
    """Return a sentence without its numbered names, "Table 2" and "Player 10".

    None where it has no such name, or holds no digit beside them.
    """
    rest = _LABELLED.sub(" ", text)
    return rest if rest != text and _REST.search(rest) else None


def without_periods(text: str) -> str | None:
    """Return a sentence without its quarters, years of account, and months with a year, "Q3 2021" and "March 2020";
    None where no other number is left.
    """
    rest = _PERIOD.sub(lambda found: found[0] if _JOINED.search(text[: found.start()]) else " ", text)
    return " ".join(rest.split()) if rest != text and _REST.search(rest) else None


def without_names(text: str, question: str) -> str | None:
    """Return a sentence without the names with a number, such as "runner 7", that it repeats from its question.

    None where it repeats none, joins one to something else by "and", "or" or the like, or holds no other number.
    """
    rest = text
    for named in {found[0] for found in _NAMED.finditer(question)}:
        pattern = rf"(?<![\w-]){re.escape(named)}(?![\w%/-]|[.,]\d)"
        for found in re.finditer(pattern, text, re.IGNORECASE):
            if _JOINED.search(text[: found.start()]) or _JOINED_BEHIND.match(text, found.end()):
                return None
        rest = re.sub(pattern, " ", rest, flags=re.IGNORECASE)
    return rest if rest != text and _REST.search(rest) else None


def without_changes(text: str) -> str | None:
    """Return a sentence without the change that it tells behind its number, "5" of "5, up 12% from 2020"; else None."""
    found = _CHANGE.fullmatch(text)
    return found["said"] if found else None


def year_of_month(text: str) -> str | None:
    """Return the year of a text that is a month of a year in Chinese, "2015" of 2015年3月; None for other texts."""
    found = _MONTH_OF_YEAR.fullmatch(text)
    return found["year"] if found else None


def total_said(text: str) -> str | None:
    """Return the total that a sum states: "5" for "3 plus 2 equals 5" or "1 + 2 + 2 = 3 + 2 = 5"; else None."""
    if found := _SUMMED.fullmatch(text) or _CHAIN.fullmatch(text):
        return found["end"]
    spoken = _SPOKEN.fullmatch(text)
    return spoken["end"] if spoken and all(map(read_words, _BETWEEN.split(spoken["sum"]))) else None


def join_parts(text: str) -> str:
    """Return a text with "2/5" in place of "2 out of 5" and "2 in 5"; "5 out of 2" stays as it is."""
    return _PER.sub(_part, text)


def _part(found: re.Match[str]) -> str:
    whole = found[2] or found[3]
    return f"{found[1]}/{whole}" if 0 < int(whole) >= int(found[1]) else found[0]
