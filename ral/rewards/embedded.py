"""Judgements of a clause: "It is true that the statement is false", "It is not true that the car is red".

The clause's own polarity counts, and the judgement's on top of it; a clause that denies in any other way than by
judging a statement can be read either way, so it gives no verdict.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

_TRUE, _FALSE = "true|correct|right|accurate|a fact", "false|incorrect|wrong|untrue|inaccurate|a lie"
_THAT = r"(?: to (?:say|state|claim|conclude))? that "
_JUDGED = re.compile(
    r"(?:(?:it|this)(?:'s| is| was| would be|(?= ?(?:is|was)n't)) ?)?"
    r"(?P<no>(?:(?:is|was)n't|(?:\w+ly )?not|never) )?(?:\w+ly |indeed |also )?"
    rf"(?:(?P<true>{_TRUE})|{_FALSE}){_THAT}(?P<clause>.+)",
    re.DOTALL,
)
_LATER = re.compile(r"(?:[,;.]|\s[-–—])? ?\b(?:but|however|yet|although|though|so|therefore|thus|hence)\b,? ?")
_DENIES = re.compile(
    r"\b(?:no|not|never|none|nothing|nobody|no one|neither|nor|without|cannot|false|untrue|wrong|incorrect|hardly"
    r"|barely|if|whether|may|might|could|unclear|unsure)\b|n't\b|\?"
)
_DENIED_AT_ONCE = re.compile(
    r"(?:(?:and|so|since|because|as|there(?:'s| is| are)|i see) )*(?:no|none|nothing|nobody)\b"
)


class Judged(NamedTuple):
    """Outcome of a judgement of a clause. yes: whether the clause is affirmed; None where that cannot be read."""

    yes: bool | None


def judged_clause(line: str, truth: Callable[[str], bool | None]) -> Judged | None:
    """Return the verdict of "it is (not) true that ..."; None where `line` has no such form.

    line: in small letters. truth: function from a text to the truth that the text gives a statement ("the claim is
    false" -> False), or None. Where "but" or "so" follows the clause, only the last part decides.
    """
    found = _JUDGED.match(line)
    if found is None:
        return None
    affirmed = (found["true"] is not None) != (found["no"] is not None)
    clause, *later = _LATER.split(found["clause"])
    if later and (last := truth(later[-1])) is not None:
        return Judged(last)
    if later:
        return Judged(None)
    if (inner := truth(clause)) is not None:
        return Judged(inner if affirmed else not inner)
    return Judged(None if _DENIES.search(clause) else affirmed)


def denied_at_once(rest: str) -> bool:
    """Tell whether `rest`, the text behind "true" or "correct", begins with a denial: "True, no dog is visible".

    As an answer to a question, and not to a statement, that can be read as yes and as no.
    """
    return _DENIED_AT_ONCE.match(rest) is not None
