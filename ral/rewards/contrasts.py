"""Options that a sentence sets one against the other: "red, not blue", "not blue but red", "Between A and B, B".

What is set aside has to be an option, too, and another one; else the sentence is left as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable

LONGEST = 200  # characters of such a sentence

_NOT = r"(?:\s*[,;]\s*(?:and |but )?(?:it is |it's )?not|\s*,?\s+(?:and not|rather than|instead of))"
_BEHIND = re.compile(rf"(?P<given>.+?){_NOT} (?P<denied>[^,;]{{1,60}}?)[\s.!]*", re.IGNORECASE | re.DOTALL)
_AHEAD = re.compile(
    r"(?P<ahead>[^,;.]{0,80}?\b(?:is|are|was|were)) ?(?:not|n't) (?!only|just|merely|simply|necessarily)"
    r"(?P<denied>[^,;]{1,60}?),? but(?: rather| instead)? (?!also|not|maybe|perhaps|possibly)(?P<given>[^,;]+)",
    re.IGNORECASE,
)
_THEN = re.compile(
    r"(?P<ahead>[^,;.]{0,80}?\b(?:does|do|did|is|are|was|were)) ?(?:not|n't) (?!only|just|merely|simply|necessarily)"
    r"(?P<denied>[^,;.]{1,60}?)[,;.] (?:but |instead,? |rather,? )?(?P<given>(?:it|they) (?!may|might|could)[^,;]+)",
    re.IGNORECASE,
)
_BETWEEN = re.compile(
    r"(?:between|of|comparing) (?P<one>[^,;]{1,60}?) and (?P<other>[^,;]{1,60}?), (?P<given>.+)",
    re.IGNORECASE | re.DOTALL,
)
_BETTER = re.compile(r"\bbetter\b", re.IGNORECASE)


def preferred(text: str, read: Callable[[str], str | None]) -> str | None:
    """Return the letter of the option that a text gives in place of another; None where it does not do that.

    read: a function from a text to the letter of the option that the text names, or None.
    """
    if len(text) > LONGEST:
        return None
    if between := _BETWEEN.fullmatch(text):
        both = {read(between["one"]), read(between["other"])}
        given = read(_BETTER.sub("best", between["given"]))
        return given if len(both - {None}) == 2 and given in both else None
    if ahead := _AHEAD.fullmatch(text):
        denied, given = read(ahead["denied"]), read(f"{ahead['ahead']} {ahead['given']}")
        return given if denied and denied != given else None
    if then := _THEN.fullmatch(text):
        denied, given = read(then["denied"]) or read(f"{then['denied']}s"), read(then["given"])
        return given if denied and denied != given else None
    if behind := _BEHIND.fullmatch(text):
        denied, given = read(behind["denied"]), read(behind["given"])
        return given if denied and denied != given else None
    return None
