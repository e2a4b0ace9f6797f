"""Words turned into their opposite by a prefix: "anti clockwise", "counter-clockwise" and "anticlockwise" are one.

A prefix that a blank or hyphen parts from its word still belongs to it, so that the word alone is not what is said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_TURNED = re.compile(r"(?<![\w-])(?:(?:anti|counter)[\s-]*clockwise|ccw)(?![\w-])", re.IGNORECASE)
_CLOCKWISE = re.compile(r"(?<![\w-])clockwise\b", re.IGNORECASE)
_SPLIT = re.compile(
    r"(?<![\w-])(?P<prefix>anti|(?<!the )(?<!kitchen )counter|non|pseudo|quasi|un|in|im|il|ir|dis)(?P<mark>[ -]?)"
    r"(?P<word>[a-z]{3,})(?![\w-])",
    re.IGNORECASE,
)
_ALSO_WORDS = frozenset({"un", "in", "im", "il", "ir"})
"""Prefixes that are words of some language too: "in red", "un gato", "im Haus"."""
_ADJECTIVE_NAMES = (
    "accurate active adequate appropriate audible balanced certain clear clean comfortable complete consistent"
    " correct dependent direct effective equal even finished finite formal happy healthy important known legal"
    " likely locked mature mobile mutable natural occupied official organic patient perfect polite possible proper"
    " proportional pure rational regular relevant reliable responsible safe secure stable sufficient sure tidy"
    " true usual valid visible willing"
)
_ADJECTIVES = frozenset(_ADJECTIVE_NAMES.split())
"""Words that such a prefix turns into their opposite, also where no option has the opposite."""
_NOT_DONE = re.compile(r"not (?P<stem>[a-z]{2,})ing")
_END = r"(?: at all)?(?=[\s.!]*$)"


def in_option_senses(text: str, options: Sequence[str]) -> str:
    """Return a text whose words with an opposing prefix are written as the options write them, or as no option does.

    "anti clockwise" becomes the options' "counter-clockwise", or "counterclockwise" where none has the word; "non
    alcoholic" becomes "non-alcoholic". "un", "in" and the like before a blank may be words of their own: before a word
    that they turn into an option's opposite, or into any opposite at the end of a clause, they are joined to it so that
    no option is named. "does not rotate" becomes the option's "not rotating".
    """
    own = [option.casefold() for option in options]
    if any(_CLOCKWISE.search(option) or _TURNED.search(option) for option in own):
        forms = list(dict.fromkeys(found[0] for option in own for found in _TURNED.finditer(option)))
        text = _TURNED.sub(forms[0] if len(forms) == 1 else "counterclockwise", text)
    text = _SPLIT.sub(lambda found: _joined(found, own), text)
    for option in own:
        if found := _NOT_DONE.search(option):
            text = _not_done(text, found["stem"])
    return text


def _joined(found: re.Match[str], options: Sequence[str]) -> str:
    """Return a prefix with its word: as an option writes them, else by a hyphen; apart where they are two words."""
    prefix, word = found["prefix"].lower(), found["word"].lower()
    if not any(re.search(rf"\b{word}\b", option) for option in options):
        return found[0]
    pattern = re.compile(rf"(?<![\w-]){prefix}[ -]?{word}(?![\w-])")
    forms = list(dict.fromkeys(same[0] for option in options for same in pattern.finditer(option)))
    if found["mark"] == " " and prefix in _ALSO_WORDS:
        ends = found.string[found.end() :].lstrip()[:1] in ("", ".", ",", ";", "!")
        if found[0].lower() in forms or not (forms or (word in _ADJECTIVES and ends)):
            return found[0]
        return f"{prefix}'{word}"
    if not found["mark"] and not forms:
        return found[0]
    return forms[0] if len(forms) == 1 else f"{prefix}-{word}"


def _not_done(text: str, stem: str) -> str:
    """Return a text with "is not rotating" for "does not rotate" where a clause of that kind ends it. stem: "rotat"."""
    verbs = {stem, f"{stem}e", stem[:-1] if stem[-1:] == stem[-2:-1] else stem}
    return re.sub(
        rf"\b(?:does|do|did)(?: not|n['’]t) (?:{'|'.join(sorted(map(re.escape, verbs)))}){_END}",
        f"is not {stem}ing",
        text,
        flags=re.IGNORECASE,
    )
