"""Landmarks, by which a place is described: "behind the table", "on the way to the school" name no table, no school.

"in", "on", "at" and "inside" tell where something is; what stands behind the others is only near it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_RELATIONS = (
    r"outside(?: of)?|(?:just |right )?past|beyond|in front of|on the (?:way|road) to(?:wards?)?|towards?|away from"
    r"|far from|leaving|beside|besides|behind|under|underneath|below|beneath|above|over|next to|close to|adjacent to"
    r"|across from|opposite(?: of| to)?|between|to the (?:left|right|north|south|east|west) of"
    r"|(?:left|right|north|south|east|west) of|at the (?:back|side|foot|edge|end) of"
)
_WORD = r"(?!(?:is|are|was|were|it|and|or)\b)[^\W\d_]+"
_THE = r"(?:(?:the|an?|this|that|his|her|its|their|my|your|our|some|one) )?"
_AHEAD = re.compile(rf"\b(?P<relation>{_RELATIONS}) {_THE}(?:{_WORD} )?$", re.IGNORECASE)
_ADDED = re.compile(
    rf"(?P<place>[^\d,]*[^\W\d]), (?:right |just |directly |and is )?(?P<relation>{_RELATIONS})"
    rf" {_THE}{_WORD}(?: {_WORD})?[\s.!]*",
    re.IGNORECASE,
)


def only_near(ahead: str, own: str, question: str, options: Iterable[str]) -> bool:
    """Tell whether the words `ahead` of an option's text make it a landmark: "behind the", "on the way to the".

    own: the option's text. options: the texts of all options; False where one of them holds the relation ("behind").
    False also where the question asks by the same relation ("What is the cat behind?"), unless it names this very
    option behind it.
    """
    found = _AHEAD.search(ahead)
    if found is None:
        return False
    relation = rf"\b{re.escape(found['relation'].casefold())}\b"
    if any(re.search(relation, option) for option in options):
        return False
    asked = question.casefold()
    return not re.search(relation, asked) or bool(re.search(rf"{relation} {_THE}{re.escape(own)}\b", asked))


def without_landmark(line: str, question: str) -> str | None:
    """Return the place that a line names without the landmark behind it: "living room" of "living room, next to the
    kitchen".

    None where there is no landmark, and where the question asks by the same relation.
    """
    found = _ADDED.fullmatch(line)
    if found is None or re.search(rf"\b{re.escape(found['relation'].casefold())}\b", question.casefold()):
        return None
    return found["place"]
