"""Answers that people give first and set aside: "I first thought A, but it is B", "My guess was C; now B"."""

from __future__ import annotations

import re

WHAT_IS_ASKED = r"(?:answer|number|count|total|result|value|figure|sum|amount|option|choice|letter|one)"
IT_IS = (
    r"(?:it is|it's|it was|that is|that's|they are|there are|this is|make (?:it|that)"
    rf"|the (?:\w+ ){{0,2}}?{WHAT_IS_ASKED} (?:is|was|should be|must be|would be))"
)
_LOOK = r"(?:reflection|inspection|consideration|look|count)"
ON_REFLECTION = (
    rf"(?:up)?on (?:second thoughts?|(?:further |second |closer |careful )?{_LOOK})"
    r"|after (?:a (?:closer|second|more careful|careful) )(?:look|count|check|inspection)"
    r"|after (?:checking|counting|looking|thinking|reviewing|reconsidering)(?: it)?(?=,)"
    r"|(?:after )?(?:looking|counting|checking|thinking)(?: about it)? (?:again|more carefully|more closely|once more)"
)
"""Words in front of a second thought."""

_AT_FIRST = r"at first(?: sight| glance)?|initially|originally"
_BUT = r"(?=[^.;,]{1,60},? (?:but|yet|however)\b)"
_SAY = (
    r"(?:thought|said|guessed|believed|chose|picked|answered|assumed|suspected|supposed|considered|figured|wrote"
    r"|counted|(?:was|were) (?:going|about) to (?:say|choose|pick|answer)|almost (?:said|chose|picked))"
)
_GUESS = r"(?:guess|thought|answer|choice|pick|count|estimate|instinct|impression|intuition|reading|idea|reaction)"
_FIRST = r"(?:(?:very )?first|initial|original|earlier|previous|immediate)"
_LOOKS = r"(?:seems?|seemed|looks?|looked|appears?|appeared)"
_I_SAID = (
    rf"(?:(?:{_AT_FIRST}|first),? )?(?:i|we) (?:had |have )?(?:(?:at )?first |initially |originally )?{_SAY}"
    rf"(?: (?:{_AT_FIRST}))?(?: that)?(?: (?:it|the answer) (?:was|is|would be|might be))? "
)
_MY_GUESS = (
    rf"(?:(?:my|the) {_FIRST} {_GUESS}|(?:(?:{_AT_FIRST}),? )?my {_GUESS}(?= (?:was|had been|said)))"
    r"(?: (?:was|is|had been|would be|would have been|said))?(?: that)?(?: (?:it|the answer) (?:was|is))?:? "
)
# without a verb of saying, a "but" has to follow: "at first 3, then 2" tells of both
_SEEMED = rf"(?:{_AT_FIRST}),?(?: (?:it|this|that) {_LOOKS}(?: like| to be)?)? (?!i\b){_BUT}"
_TORN = r"(?:i was |i'm |i am )?torn between (?=.{1,40} and )"
_X_AT_FIRST = rf"(?<!\w)(?=[^.;,]{{1,40}}? (?:{_AT_FIRST}),? but)"
_NOW = r"(?:but|yet|however,?|although|now|then|actually,?)"
_I_SAY = (
    r"i(?:'d|'ll| would| will)? (?:now )?(?:think|choose|pick|say|believe|go with|settle on|opt for|answer)"
    r"|(?:now )?(?:it|that) (?:seems|must|should)"
    r"|(?:i|it|that|this) (?:was|am|is|may be|might be) (?:wrong|mistaken|a mistake)"
)
FIRST_SAID = (
    rf"(?:{_I_SAID}|{_MY_GUESS}|{_SEEMED}|{_TORN}|{_X_AT_FIRST})"
    rf"(?!nothing|about)[^.;,]{{1,40}}?(?: (?:{_AT_FIRST}))?"
    rf"(?:,? (?:and now|{_NOW})|[;.,] ?{_NOW}?) "
    rf"(?:(?:now|then|actually|in fact|really|{ON_REFLECTION}),? )?(?={IT_IS}|\W*\w+\W*$|\d|{_I_SAY})(?:now )?"
)
FIRST_SAID_HAN = (
    r"我?(?:一开始|一開始|先|原来|原來|起初|原本|原先|最初|本来|本來|原|刚才|剛才)我?"
    r"(?:以为|以為|认为|認為|觉得|覺得|选了?|選了?|猜|说|說)"
    r"(?:答案)?(?:是|为|為)?[^,，。;；]{1,20}?[,，。;；] ?"
    r"(?:但|但是|不过|可|可是|后来|现在|其实|實際上|实际上|發現|发现){0,3}"
    r"(?:(?:改|换|換)(?:成|为|為|选|選)了?)?(?=应|應|是|选|選|答案|正确|正確|\W*\w\W*$|\d)"
)
SEEMS = re.compile(
    rf"\W*(?:(?:it|this|that) )?(?:{_LOOKS} (?:like|to be|as if it(?:'s| is))|(?:could|might|may) (?:be|have been))"
    rf" [^.;]{{1,40}}?,? (?:but|yet|however) (?={IT_IS})",
    re.IGNORECASE,
)
"""Matches "It looks like A, but", which holds where the rest names nothing."""
