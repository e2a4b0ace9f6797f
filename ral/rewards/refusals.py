"""Refusals for want of a picture or a clip ("No image was provided", "I see no attachment"), or of certainty.

They answer nothing, also where they begin with "no": none of them counts as 0, or as a no.
"""

from __future__ import annotations

import re

_MEDIUM = (
    r"(?:image|picture|photo|photograph|screenshot|video|clip|footage|frame|file|attachment|media|content|visuals?|input"
    r"|data|information|context|details?|figure|diagram|chart|graph|map|audio)"
)
_THING = rf"(?:(?!an?\b|the\b)[a-z]+ ){{0,2}}{_MEDIUM}s?(?: (?:or|and) (?:[a-z]+ )?{_MEDIUM}s?)?"
_HANDED = (
    r"(?:provided|attached|included|uploaded|given|shared|supplied|sent|received|submitted|found|available|accessible"
    r"|loaded|presented|embedded|passed)"
)
_IS = r"(?:is|are|was|were|has been|have been|seems? to be|appears? to be)"
_MESSAGE = r"(?:message|request|question|prompt|conversation|chat|post|input|text|query|context|system)"
_TO_ME = (
    r"(?:to|with|by|in|along|from|for) (?:me\b|us\b|you\b|your\b|analysis\b|review\b"
    rf"|(?:this|the|our) {_MESSAGE}\b)"
)
_END = rf"(?= ?(?:$|[.,;:!)\n]|(?:so|and|but|because|therefore|here|yet|that|which)\b|{_TO_ME}))"
_KNOWN = r"(?:identified|determined|confirmed|verified|ascertained|established|concluded|inferred|answered)"
_SEEN = r"(?:seen|made out|distinguished|recogni[sz]ed|detected|counted|read|discerned)"
_CERTAINLY = r"(?:with (?:\w+ )?(?:certainty|confidence)|for (?:sure|certain)|clearly|reliably)"
_TELL = r"(?:tell|say|know|determine|answer|decide|be sure)"
REFUSAL = (
    rf"\b(?:no|without(?: an?| any| the)?) {_THING} (?:(?:{_IS} )?(?:\w+ly )?{_HANDED}{_END}|to (?!be\b)[a-z])"
    rf"|\bno (?:image|picture|photo|photograph|video|clip|attachment|visual content|media)(?=[\s.!]*$)"
    rf"|\b(?:the |your |an? |any )?{_THING} {_IS} ?(?:not|n't)(?: been)? {_HANDED}{_END}"
    r"|\b(?:i|we) (?:(?:do|did|have|can|could)(?: ?not|n't)|never) (?:receive|have|see|find|view|get|access|open)[a-z]*"
    rf" (?:an?|the|your) (?:[a-z]+ )?{_MEDIUM}{_END}"
    rf"|\b(?:i|we) (?:can )?(?:see|have|received|find|got) no {_MEDIUM}{_END}"
    rf"|\bno (?:[a-z]+ ){{1,4}}(?:can|could) be (?:{_KNOWN}|(?:{_SEEN}) {_CERTAINLY}|{_CERTAINLY} {_SEEN})"
    rf"|\b(?:no one|nobody) (?:(?:can|could|would|will)(?: [a-z]+ly)? {_TELL}\b|knows\b)"
)
"""Pattern of a refusal, to be searched for in a text with `re.IGNORECASE`."""
_REFUSAL = re.compile(REFUSAL, re.IGNORECASE)


def refuses(text: str) -> bool:
    """Tell whether a text says that there is nothing to look at, or that nothing can be said with certainty.

    "No images show a dog", "No pictures are attached to the wall" and "No dogs can be seen" do not.
    """
    return _REFUSAL.search(" ".join(text.replace("’", "'").split())) is not None
