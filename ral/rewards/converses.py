"""Sentences that tell the converse of what is asked: "The dog is to the right of the cat" puts the cat to the left.

Read where a question asks for the place of one thing relative to another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_LONGEST = 300  # characters of a question's sentence that is read
_WORDS = re.compile(r"[^\W_]+")
_SMALL = frozenset(
    (
        "the",
        "a",
        "an",
        "of",
        "is",
        "are",
        "was",
        "were",
        "this",
        "that",
        "these",
        "those",
        "its",
        "his",
        "her",
        "their",
        "my",
        "your",
        "our",
        "it",
        "and",
        "with",
        "to",
        "in",
        "on",
        "at",
        "s",
    )
)
_SEEN = r"(?:picture|image|photo(?:graph)?|frame|scene|screen|view|video|shot)"
_VIEWER = frozenset(
    (
        "viewer",
        "camera",
        "observer",
        "you",
        "me",
        "us",
        "image",
        "picture",
        "photo",
        "photograph",
        "frame",
        "scene",
        "screen",
        "video",
        "photographer",
    )
)
_TO = (
    r"(?:(?:in|with) (?:relation|reference|respect|regards?) to|relative to|compared (?:to|with)"
    r"|in comparison (?:to|with)|from)"
)
_PLACED = r"(?: (?:located|positioned|placed|situated|standing|sitting|parked|lying|found|seen))?"
_SIDES = {
    "left": "right", "right": "left", "above": "below", "over": "under", "below": "above", "under": "above",
    "beneath": "above", "underneath": "above", "on top of": "below", "in front": "behind", "behind": "in front",
    "north": "south", "south": "north", "east": "west", "west": "east", "northeast": "southwest",
    "northwest": "southeast", "southeast": "northwest", "southwest": "northeast", "higher": "lower", "lower": "higher",
}  # fmt: skip
_MUTUAL = ("next to", "beside", "near", "close to", "adjacent to", "far from", "opposite", "across from", "touching")
_ONE_WAY = r"(?:inside|outside|within|contain(?:s|ing)|surround(?:s|ing))"
_NAMES = "|".join(sorted((*_SIDES, *_MUTUAL), key=len, reverse=True))
_SIDE = rf"(?:(?:to|on|at|in|towards?) )?(?:the )?(?:far |immediate |very )?(?:{_NAMES})(?: (?:hand )?side)?"
_PAIRS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?:where|how) (?:is|are|was|were) (?P<x>[^?]+?){_PLACED} {_TO} (?P<y>[^?]+)",
        rf"\b(?:position|location|placement|place|direction) of (?P<x>[^?]+?) {_TO} (?P<y>[^?]+)",
        rf"\b(?:which|what) (?:direction|side|way) (?:is|are|was|were) (?P<x>[^?]+?){_PLACED} (?:{_TO}|of)"
        r" (?P<y>[^?]+)",
        r"\b(?:which|what) side of (?P<y>[^?]+?) (?:is|are|was|were) (?P<x>[^?]+)",
        rf"\b(?:is|are|was|were) (?P<x>[^?]+?){_PLACED} {_SIDE}(?: of)?,? or {_SIDE}(?: of)? (?P<y>[^?]+)",
        rf"\b(?:is|are|was|were) (?P<x>[^?]+?){_PLACED} {_SIDE}(?: of)? (?P<y>[^?]+?),? or {_SIDE}",
        r"\brelation(?:ship)?s? (?:between|of) (?P<x>[^?]+?) (?:and|to|with) (?P<y>[^?]+)",
    )
)
_BEHIND_NAME = re.compile(rf",| (?:in|on) (?:the|this) {_SEEN}\b| from (?:the|your) ", re.IGNORECASE)
_RELATION = re.compile(
    rf"(?:\b(?:to|on|at|in|towards?) )?(?:\bthe )?(?:\b(?:far|immediate|very) )?"
    rf"\b(?P<name>{_NAMES}|{_ONE_WAY})\b"
    r"(?:[ -]hand)?(?: side)?(?: of\b)?",
    re.IGNORECASE,
)
_OWNER = re.compile(r"(?:['’]s|s['’])$")
_OWNED = re.compile(r"^(?P<subject>.*?)\b(?:to|on|at|in) (?P<object>.+?)(?:['’]s|s['’])$", re.IGNORECASE)
_INVERTED = re.compile(
    r"^(?P<object>.+?),? (?:is|are|was|were|sits?|stands?|lies?|there is|there are|we see|you see) (?P<subject>.+)$",
    re.IGNORECASE,
)
_CLAUSES = re.compile(
    r"[,;.] *(?:(?:so|and|while|whereas|but|with|since|because|as|thus|hence|therefore|meaning|making)\b,? *)?"
    r"(?:that )?"
    r"| (?:so|while|whereas|since|because|thus|hence|therefore|meaning) (?:that )?"
    r"| and (?=(?:the|an?) [^,;.]*\b(?:is|are|sits?|stands?|lies?|was|were)\b)",
    re.IGNORECASE,
)
_DENIED = re.compile(r"\b(?:not|no|never|neither|nor|without|or|if|whether|than|maybe|perhaps)\b|n['’]t\b|\?", re.I)
_RELATIVE = re.compile(r"(?:which|who|that)\b", re.IGNORECASE)
_OF_EITHER = re.compile(
    r"\b(?:he|she) .*\b(?:his|her)$", re.IGNORECASE
)  # "She is on his" left: which one is asked about?
_RIGHT_THERE = re.compile(
    r" (?:next|beside|behind|in front|above|below|under|underneath|by|near|here|there|now"
    r"|outside|inside|after|before)\b"
)
_TURNED = re.compile(
    r"\b(?:facing|faces|look(?:s|ing)|turn(?:s|ed|ing)|walk(?:s|ing)|mov(?:es|ing)|runn?(?:s|ing)|head(?:s|ing|ed)"
    r"|point(?:s|ed|ing)|gaz(?:es|ing)|star(?:es|ing)|lean(?:s|ing))(?: over| away| back)?$",
    re.IGNORECASE,
)
_OF_OWNED = re.compile(r"\w['’]s (?!left|right|side|front|back|head|body|face|tail|position|place)\w+")
_OTHERS_VIEW = re.compile(
    r"\bfrom (?:the |its |his |her )(?!(?:viewer|camera|observer|photographer|image|picture)\b)[a-z ]{0,20}(?:['’]s )?"
    r"(?:own )?(?:perspective|point of view|viewpoint)\b",
    re.IGNORECASE,
)
_VIEW = re.compile(r"\b(?:perspective|view\w*|point of view|facing|imagine)\b", re.IGNORECASE)
_PLACED_HAN = r"(?:位于|处于|坐落在|相对于|在|是在)"
_ASKED_HAN = re.compile(
    rf"(?:图中|图片中|画面中|视频中)?的?(?P<x>[\u4e00-\u9fff]{{1,8}}?){_PLACED_HAN}(?P<y>[\u4e00-\u9fff]{{1,8}}?)的?(?:什么|哪|何|左边还是|上面还是|前面还是|位置)"
)
_PRONOUN = re.compile(r"(?:it|them|him|her)\b", re.IGNORECASE)


def of_asked_thing(line: str, options: Iterable[str], question: str) -> str | None:
    """Return a line in which places are those of the thing that `question` asks about; None where it tells no such.

    In "Where is the cat relative to the dog?" that is the cat: "The dog is to the right of the cat" becomes "the cat is
    to the left of the dog", "The dog is on the left, so the cat is on the right" loses its first clause, and what is
    told of the dog alone, of another thing or of a side of the picture is nothing. A relation without a plain converse
    ("inside") and a denied one are nothing, too. Unchanged is the line of any other question, and where no option has
    a relation, or one names either thing.
    """
    if _converse_in_han(line, question):
        return None
    if _OTHERS_VIEW.search(line) and not _VIEW.search(question):
        return None
    pair = asked_pair(question) if any(map(_RELATION.search, own := list(options))) else None
    if pair is None or any(_who(option, pair) for option in own):
        return line
    pieces = [piece for piece in _CLAUSES.split(line) if piece.strip()]
    read = [_clause(piece, pair) for piece in pieces]
    if read == pieces:
        return line
    kept = [piece for piece in read if piece]
    return ", ".join(kept) if any(map(_RELATION.search, kept)) and not _DENIED.search(line) else None


@lru_cache(maxsize=1024)
def asked_pair(question: str) -> tuple[str, str] | None:
    """Return ("cat", "dog") of "Where is the cat relative to the dog?"; None for other questions, and where the second
    is who looks, or the picture.
    """
    for sentence in re.split(r"(?<=[.?!])\s|\n", question):
        found = next(filter(None, (pattern.search(sentence[:_LONGEST]) for pattern in _PAIRS)), None)
        if found is None:
            continue
        first, second = (_BEHIND_NAME.split(found[name])[0].strip(" .") for name in "xy")
        if _words(first) and _words(second) - _VIEWER and _words(first) != _words(second):
            return first, second
    return None


def _clause(clause: str, pair: tuple[str, str]) -> str | None:
    """Return a clause as it stands, its converse, or None for one that tells nothing of the first thing."""
    found = _RELATION.search(clause)
    if found is None:
        return clause
    subject, behind = clause[: found.start()].strip(), clause[found.end() :].strip(" .!")
    subject = re.sub(rf"\b{_TO} [^,]*?{re.escape(pair[1].split()[-1])}\b,?", "", subject, flags=re.IGNORECASE)
    if _OWNER.search(subject):
        if (owned := _OWNED.match(subject)) is None:
            return None
        subject, behind = owned["subject"], owned["object"]
    elif not subject and (turned := _INVERTED.match(behind)):
        subject, behind = turned["subject"], turned["object"]
    if _TURNED.search(subject) or _OF_OWNED.search(behind):
        return None
    again = _RELATION.search(behind)
    of_it = _PRONOUN.match(behind) is not None
    told, other = _who(subject, pair), _who(behind[: again.start()] if again else behind, pair)
    if (
        _RELATIVE.match(subject)
        or _OF_EITHER.search(subject)
        or (not told and _words(subject) >= _words(pair[0]) | _words(pair[1]))
    ):
        return None
    if not told and other == "y" and re.match(r"(?:is|are|was|were)\b", behind):
        return None  # "The one on the left is the dog"
    if told == "y":
        return _converse(found["name"].lower(), pair) if (other == "x" or of_it) and not again else None
    if other == "x" or (not other and not of_it and _words(behind) and not again and _names_thing(found[0], behind)):
        return None
    return clause


def _converse_in_han(line: str, question: str) -> bool:
    """Tell whether a Chinese line tells the place of the other thing alone: 狗在猫的左边 for 猫在狗的哪一边？"""
    if (asked := _ASKED_HAN.search(question)) is None:
        return False
    first, second = asked["x"], asked["y"]
    if first[-2:] != second[-2:]:
        first, second = first[-2:], second[-2:]  # without "in the picture" and the like
    if first not in line:
        return re.match(rf"\s*[^它他她，。在位处]{{0,4}}{re.escape(second)}", line) is not None
    told = rf"{{}}[^，。,.]{{{{0,4}}}}{_PLACED_HAN}[^，。,.]{{{{0,4}}}}{{}}"
    first, second = re.escape(first), re.escape(second)
    return bool(re.search(told.format(second, first), line)) and not re.search(told.format(first, second), line)


def is_adverb(ahead: str, own: str, behind: str) -> bool:
    """Tell whether "right" or "left" is no side: "right next to it", "left behind", "has left"."""
    if own == "right":
        return not re.search(r"\b(?:the|to|on) $", ahead, re.IGNORECASE) and _RIGHT_THERE.match(behind) is not None
    return own == "left" and bool(
        re.match(r" (?:behind|alone|out|over)\b", behind) or re.search(r"\b(?:has|have|had|just|is being) $", ahead)
    )


def _names_thing(relation: str, behind: str) -> bool:
    """Tell whether the words behind a relation are the thing that it is to, as in "left of the lamp"."""
    return relation.lower().endswith((" of", " to", " from")) or re.match(r"(?:the|an?) ", behind) is not None


def _converse(name: str, pair: tuple[str, str]) -> str | None:
    """Return "the cat is to the left of the dog" for "right"; None for a relation without a plain converse."""
    turned = name if name in _MUTUAL else _SIDES.get(name)
    if turned is None:
        return None
    if turned in ("left", "right") or turned.startswith(("north", "south", "east", "west")):
        turned = f"to the {turned} of"
    turned = {"in front": "in front of", "higher": "higher than", "lower": "lower than"}.get(turned, turned)
    return f"{pair[0]} is {turned} {pair[1]}"


def _who(text: str, pair: tuple[str, str]) -> str:
    """Return "x" or "y" for a text that names the first or the second thing of a pair, "" for neither or both."""
    said, first, second = _words(text), *map(_words, pair)
    is_first = bool(said & (first - second)) or (first <= second and first <= said and not said & (second - first))
    is_second = bool(said & (second - first)) or (second <= first and second <= said and not said & (first - second))
    return "" if is_first == is_second else "x" if is_first else "y"


def _words(text: str) -> frozenset[str]:
    """Return the words of a name, without articles and the like, without the s of a plural."""
    return frozenset(word.rstrip("s") or word for word in _WORDS.findall(text.casefold())) - _SMALL
