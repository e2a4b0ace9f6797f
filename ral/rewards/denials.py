"""The words with which people take an answer back ("B is wrong", "5? No", "anything but 5", 不对), or set one aside.

Letters of options and numbers share them. `RULED_OUT` and `OTHER_RULED_OUT` are of a letter that is marked as one.
"""

from __future__ import annotations

import re

LONGEST = 200  # characters around an answer in which such words are looked for

_WRONG = r"(?:wrong|incorrect|false|untrue|ruled out|excluded|eliminated|out)"
_RIGHT = r"(?:correct|right|answer|best|true|valid|it|possible)"
_NAMED = (
    r"(?:answer|option|choice|one|statement|letter|candidate|pick|guess|number|value|response|count|total|result|figure"
    r"|amount|sum|solution|conclusion|colou?r)s?"
)
_ADVERB = r"also|clearly|definitely|certainly|surely|obviously|just|simply|probably|likely"
_ADVERBS = rf"(?:(?:{_ADVERB}) )?"
_IS = (
    r"(?:it is|it's|that is|that's|would be|would have been|must be|can be|could be|should be|has to be|will be"
    r"|is|are|was|looks|seems)"
)
RULED_OUT = re.compile(
    rf"(?:{_IS} )?{_ADVERBS}"
    rf"(?:{_WRONG}\s*(?:[.,;!)]|$|because|since)|(?:not|n't|isn't|cannot be|can't be)"
    rf"(?: (?:the )?{_RIGHT})?\s*(?:[.,;!)]|$|answer|option"
    r"|choice|because|since)|不对|不是|不正确|错|錯|不正確|不對)",
    re.IGNORECASE,
)
"""Matches the words behind a letter that is ruled out: "B. is wrong", "B. not correct"."""
_IS_WRONG = (
    rf"(?:(?:all|clearly|both|just|simply) )?(?:the |an? )?(?:{_WRONG}|not {_RIGHT})(?: {_NAMED})?\s*(?:[.,;!)]|$)"
)
_OTHERS_ARE_WRONG = (
    r"(?:all |any |every )?(?:the )?(?:others?|rest|(?:other|remaining) (?:option|answer|choice|one)s?)"
    rf" (?:is|are|were|was) {_IS_WRONG}"
)
_LETTER = r"(?:option )?[(\[]?[A-Z][)\]]?"
_LETTER_IS_WRONG = rf"{_LETTER} is {_IS_WRONG}"
AND_RULED_OUT = re.compile(rf"[,;.]? ?and {_LETTER_IS_WRONG}", re.IGNORECASE)
"""Matches the words behind a letter that is said to be right: "B is right and A is wrong"."""
OTHER_RULED_OUT = re.compile(
    r"(?:and |but )?(?:(?:certainly|definitely|clearly) )?(?:not|rather than|instead of|不是|不选|而不是|而非"
    r"|nicht|no la|pas)"
    r" ?(?:option )?[(\[]?[A-Za-z][)\]]?(?![A-Za-z])"
    rf"|(?:(?:and|but|while|whereas|as|since|because) )?{_OTHERS_ARE_WRONG}"
    rf"|(?:(?:and|as|since|because) )?neither {_LETTER} nor {_LETTER}(?![A-Za-z])"
    rf"|(?:but|while|whereas) {_LETTER_IS_WRONG}",
    re.IGNORECASE,
)
"""Matches the words behind a letter that is given in place of another: "B, not A", "B, the others are wrong"."""

_END = r"\s*(?:[.,;:!?)。，！]|$|because\b|since\b|as\b|and\b|so\b|here\b|answer\b)"
_SINGULAR = r"(?:is|was|would be|would have been|must be|has to be|will be|seems|looks|appears|sounds)(?: to be)?"
_NOT = (
    r"(?:(?:is|was|would|could|can|does|do|may|must) ?(?:not|n't)|cannot|can't|isn't|wasn't|wouldn't|couldn't)"
    r"(?: be| seem| look)?"
)
_TOO = r"too (?:many|few|high|low|large|small|big|much|little|long|short)"
_BAD = rf"(?:{_WRONG}|impossible|a mistake|an error|mistaken|{_TOO})"
_GOOD = rf"(?:(?:the|a|my) )?(?:(?:correct|right|true|final) )?(?:{_RIGHT}|number|value|count|solution|case|so)"
_WRONG_ONE = (
    r"(?:(?:the|an?|one of the|among the) )?(?:(?:only|clearly|obviously|definitely|single|most) )*"
    rf"(?:wrong|incorrect|false|untrue|invalid|erroneous|mistaken) {_NAMED}\b"
)
_VERDICT = (
    rf"(?:(?:{_SINGULAR} {_ADVERBS}(?:{_BAD}|not {_GOOD})|{_NOT} {_GOOD}|isn't){_END}"
    rf"|{_SINGULAR} {_ADVERBS}{_WRONG_ONE})"
)
_SAID = r"(?:(?:but|and|or|no|nope|oh|well|actually|sorry|wait)\b,? ?)*(?:(?:that|this|it|which)(?: (?=\w)|(?='s)))?"
_OTHERS = (
    r"(?:(?:ist|war|wäre) (?:falsch|nicht richtig|nicht korrekt|unmöglich)|(?:est|serait) (?:faux|incorrecte?|fausse)"
    r"|n'est pas (?:correcte?|juste|la)|(?:es|sería|é) (?:incorrect[oa]|incorret[oa]|fals[oa]|errad[oa])"
    r"|(?:no es|não é|non è) (?:correct[oa]|corret[oa]|corrett[oa]|la|a)|è (?:sbagliat[oa]|errat[oa])"
    r"|(?:[-–—] |это )?(?:неверно|неправильно|не верно|не правильно))\b"
)
_SURELY = (
    rf"(?:{_ADVERB}|of course|absolutely|almost certainly|most (?:certainly|likely|probably)|apparently|presumably"
    r"|evidently)"
)
_HAN = (
    r"(?:这|那|這|这个|那个)?(?:是|就是|显然|并|肯定)?(?:不对|不對|不正确|不正確|不可能|不成立"
    r"|不是(?=\s*(?:正确|答案|对|$|[。,，.]))"
    r"|错误?(?:的|了)?\s*(?:$|[。,，.!])|錯誤?(?:的|了)?\s*(?:$|[。,，.!]))"
    r"|は?(?:間違い|違います|誤り)|(?:은|는)? ?(?:틀렸|아니)"
)
_NOUNS = r"(?:(?!(?:because|since|as|while|whereas|and|but|so|if|when|than|or|are|were)\b)[^\W\d_]+ ){0,3}?"
_CLOSED = r"[\s)\]}\"'”’°%]*"
_OF_A_THING = re.compile(rf"{_CLOSED}{_NOUNS}(?:{_VERDICT}|{_OTHERS})", re.IGNORECASE)
_BEHIND = re.compile(
    rf"{_CLOSED}(?:{_VERDICT}|{_OTHERS}"
    rf"|[,.;:!?(\[–—-]+\s*(?:{_SAID}(?:{_VERDICT}|{_OTHERS}|'s {_ADVERBS}{_BAD}{_END}|'s not {_GOOD}{_END}"
    rf"|{_BAD}{_END}|not {_GOOD}{_END}))"
    r"|,? but not (?:quite|really|exactly)\b"
    r"|\?\s*(?:no|nope|nein|non|нет)\b(?! (?:doubt|question|problem))|\?\s*[不否]"
    rf"|[,.;:!?(\[–—-]+\s*{_SAID}(?:{_SURELY} not|not (?:at all|really|quite|likely)|hardly|never|no way"
    rf"|i (?:don't|do not) think so|i doubt it){_END}"
    rf"|[?,，。、]?\s*(?:{_HAN}))",
    re.IGNORECASE,
)
"""Matches the words behind an answer that is taken back; not "5 are wrong" or "5 wrong", which count mistakes."""

_TO_BE = (
    r"(?: (?:be|have been|equal(?: to)?|exactly|really|necessarily|quite|just|the (?:answer|number|value)|option))*"
)
_AHEAD = re.compile(
    rf"(?:(?:\b(?:not|cannot|never|neither|nor)|n't){_TO_BE}"
    r"|\b(?:anything|everything|everyone|all|any|any number|every option) (?:but|except(?: for)?|besides|other than)"
    r"|\b(?:rather than|instead of|other than|different from|except(?: for)?|excluding|ruling out|unlike)"
    r"|(?:\b(?:not|never)|n't) (?:think|believe|say|agree|suppose|guess|mean|claim)(?: that)?"
    r"(?: (?:it|this|that|there|the answer|the number)(?: (?:is|are|was|be|would be|should be)|'s))?"
    r"|(?<!\bno )(?<!\bany )(?<!without )(?<!\ba )(?<!beyond )(?<!n't )(?<!not )(?<!never )\bdoubt(?:s|ed|ful)?"
    r"(?: (?:that|if|whether|it|this|there|the answer|is|are|was|would be))*"
    rf"|\b(?:wrong|incorrect|false|untrue|invalid|erroneous|mistaken) (?:{_NAMED})?"
    r"(?: (?:here|among them|of (?:them|these)))?(?: (?:is|was|would be|must be|has to be|should be|seems to be))?"
    r"|\b(?:wrong|incorrect|false|untrue|a mistake|an error|(?:not|n't) (?:right|correct|true|accurate))"
    r" to (?:say|answer|claim|think|write|state|conclude|assume|guess|respond|reply|report|count|believe|call it)"
    r"(?: that)?(?: (?:it|this|that|there|the answer|the number)(?: (?:is|are|was|were|would be)|'s))?"
    r"|\b(?:no way|no chance|hardly|unlikely|far from|nowhere near)"
    r"(?: (?:that|to be|it|this|there|the answer|is|are|was|be|it's))*"
    r"|\bnicht|\bpas|\bno es|\bnão é|\bnon è|\bне"
    r"|不是|没有|沒有|没|不会是|不可能是|不可能|不等于|并非|而非|除了|不选|绝不是|不应该?是|≠|!=)[\s:(\[]*$",
    re.IGNORECASE,
)
"""Matches the words in front of an answer that is denied."""


def taken_back(behind: str, *, counted: bool = False) -> bool:
    """Tell whether the text behind an answer takes it back: " is wrong", "? No", ", which is not right", 不对.

    counted: whether a few words may name the thing counted: "5 apples is wrong".
    """
    head = behind[:LONGEST]
    return _BEHIND.match(head) is not None or (counted and _OF_A_THING.match(head) is not None)


def denied(ahead: str) -> bool:
    """Tell whether the text in front of an answer denies it: "not", "cannot be", "anything but", 不是."""
    return _AHEAD.search(ahead[-LONGEST:]) is not None
