"""Signs of changes said in words: "It decreased by 5%" is -5% where the question asks for a change."""

from __future__ import annotations

import re

from ral.rewards.number_words import SMALL, TENS

_NUMBER = rf"(?:[$€£¥]?\d|(?:{'|'.join((*SMALL, *TENS))})\b)"
DOWN = (
    r"(?:decreas(?:e[sd]?|ing)|drop(?:s|ped|ping)?|f[ae]ll(?:s|en|ing)?|declin(?:e[sd]?|ing)|reduc(?:e[sd]?|ing|tion)"
    r"|shr[aiu]nk|lost|loses?|losing|loss|dipp?(?:s|ed)?|sank|(?:went |gone |goes |go )?down)"
)
UP = (
    r"(?:increas(?:e[sd]?|ing)|r[io]se[sn]?|rising|gr[eo]w(?:s|n|th|ing)?|gain(?:s|ed)?|climb(?:s|ed)?|jump(?:s|ed)?"
    r"|(?:went |gone |goes |go )?up)"
)
LESS, MORE = "lower|less|fewer|smaller", "higher|more|greater|larger"
LINK = r"(?: (?:by|of|about|around|approximately|roughly|exactly|only|just|a total of|[a-z]+ly))*"
_AMOUNT = r"\d(?:[\d.,]*\d)?(?: ?%| [a-z]+| percent(?:age)? points?)?"


def _moves(words: str, compared: str) -> re.Pattern[str]:
    """Return the pattern of a change in one direction: "fell by 5", "a 5% drop", "5% lower"."""
    return re.compile(
        rf"\b{words}{LINK} (?={_NUMBER})(?!\d+ to )"
        rf"|{_AMOUNT} (?:{words}|{compared})\b(?! (?:from|to)\b)",
        re.IGNORECASE,
    )


_MOVES = {-1: _moves(DOWN, LESS), 1: _moves(UP, MORE)}
_CHANGED = re.compile(rf"\b(?:{DOWN}|{UP})\b", re.IGNORECASE)
_DENIES = re.compile(r"\b(?:not|never|no|nor|neither|without|instead)\b|n['’]t\b", re.IGNORECASE)
_ASKS_UP = re.compile(rf"\b(?:chang(?:e[sd]?|ing)|(?!up\b){UP})\b", re.IGNORECASE)
_ASKS_DOWN = re.compile(rf"\b(?!down\b){DOWN}\b", re.IGNORECASE)
_COUNTS = re.compile(r"(?<!\bby )\bhow many\b|\bnumber of\b", re.IGNORECASE)


def direction(text: str) -> int:
    """Return 1 for a text that says that a thing rose by a number, -1 that it fell; 0 for neither, both or a denial."""
    if _DENIES.search(text):
        return 0
    found = [sign for sign, pattern in _MOVES.items() if pattern.search(text)]
    return found[0] if len(found) == 1 else 0


def contradicts(gold: str, answer: str) -> bool:
    """Tell whether an answer names a change, and not in the one direction that the gold answer names.

    To the gold answer "Decrease by 5%" it is True for "a 5% increase", "not a 5% decrease" and "it decreased to 5%",
    and False for "5%".
    """
    own = direction(gold)
    return own != 0 and direction(answer) != own and _CHANGED.search(answer) is not None


def sign_of_change(answer: str, question: str, *, below: bool) -> int:
    """Return the sign that an answer's words give its number: -1 for "It fell by 5%" where a change is asked for.

    A question for a decrease ("By how much did it fall?") asks for its size: there "It fell by 5%" is 5% and "It rose
    by 5%" is not, unless the gold answer is below zero (`below`). 1 where question or answer names no direction,
    and where things are counted ("How many went up?").
    """
    up, down = _ASKS_UP.search(question) is not None, _ASKS_DOWN.search(question) is not None
    if _COUNTS.search(question) or (up == down and not (up and below)):
        return 1
    asked = -1 if down and not below else 1
    return direction(answer) * asked or 1
