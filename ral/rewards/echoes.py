"""Answers that say a yes-or-no question again as a statement: "The man is not wearing any glasses" is no."""

from __future__ import annotations

import re

_LONGEST = 150  # characters of a question and of such an answer
_AUXILIARY = r"(?:is|are|was|were|does|do|did|has|have|can)"
_ASKED = re.compile(rf"(?:^|[.!?\n]\s*)(?P<verb>{_AUXILIARY}) (?P<rest>[^.?!\n]+)\?", re.I)
_SAID = re.compile(
    rf"(?P<subject>[^.,;:?!]+?) (?P<verb>{_AUXILIARY})(?=\b|not\b|n['’]t\b)"
    r"(?P<denied> ?not\b|n['’]t\b|(?<=can)['’]t\b)? ?(?P<rest>[^.,;:?!]*)[.!\s]*",
    re.IGNORECASE,
)
_PRONOUN = frozenset(("he", "she", "it", "they"))
_SUBJECT = re.compile(r"(?:the|this|that|these|those|his|her|their|its|an?)\b", re.IGNORECASE)
_SEEN = re.compile(r",? (?:in|on) (?:the|this) (?:picture|image|photo|video|clip|scene|frame|screen)$", re.IGNORECASE)
_LEFT_OUT = frozenset(("the", "a", "an", "any"))
_WORDS = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def verdict_of_echo(answer: str, question: str) -> str:
    """Return "yes" or "no" for an answer that is `question` as a statement, perhaps denied; "" for any other.

    All words have to stand in the question's order, but for articles, "any", "in the picture" and the like; a pronoun
    may stand for the question's subject. "There is no dog" is no to "Is there a dog?".
    """
    asked = _ASKED.search(question) if len(question) <= _LONGEST else None
    said = _SAID.fullmatch(answer.strip()) if len(answer) <= _LONGEST else None
    if asked is None or said is None or asked["verb"].lower() != said["verb"].lower():
        return ""
    wanted, rest = _words(asked["rest"]), _words(said["rest"])
    none = rest[:1] == ["no"]
    rest = rest[1:] if none else rest
    if {"not", "no", "or"} & {*wanted, *rest} or (none and said["denied"]) or not rest:
        return ""
    subject = _words(said["subject"])
    if len(subject) == 1 and subject[0] in _PRONOUN:
        same = len(rest) < len(wanted) and wanted[-len(rest) :] == rest and bool(_SUBJECT.match(asked["rest"]))
    else:
        same = subject + rest == wanted
    return ("no" if none or said["denied"] else "yes") if same else ""


def _words(text: str) -> list[str]:
    """Return the words of a text in order, in small letters, without articles and the picture they are seen in."""
    return [word for word in map(str.lower, _WORDS.findall(_SEEN.sub("", text.strip()))) if word not in _LEFT_OUT]
