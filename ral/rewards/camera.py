"""Moves of a camera as options: "The camera pans to the left" is "Pan left", "It tilts upwards" is "Tilt up"."""

from __future__ import annotations

import re
from collections.abc import Mapping

_LONGEST = 120  # characters of such an answer
_VERBS = {"pan": "pann?", "tilt": "tilt", "zoom": "zoom", "roll": "roll", "dolly": "doll(?:y|i)", "truck": "truck"}
_VERB = "|".join(_VERBS.values())
_WAY = "left|right|up|down|in|out|upwards?|downwards?|inwards?|outwards?"
_MOVE = re.compile(rf"(?P<verb>{_VERB})(?:ing|s|es|ed)?[ -](?P<way>left|right|up|down|in|out)", re.IGNORECASE)
_SAID = re.compile(
    r"(?:(?:(?:the|this) (?:camera|video|shot|view)|it) )?(?:(?:is|was) )?(?:slowly |quickly )?"
    rf"(?P<verb>{_VERB})(?:ing|s|es|ed)?(?: slowly| quickly)?(?: from (?:the )?(?P<start>{_WAY}))?"
    rf"(?: to(?:wards?)?(?: the)?)? (?P<way>{_WAY})(?: (?:on|at|to|towards|over) (?:the|a|an|his|her) [a-z]+"
    r"| slowly| quickly)?",
    re.IGNORECASE,
)
_OPPOSITE = {"left": "right", "right": "left", "up": "down", "down": "up", "in": "out", "out": "in"}


def option_of_move(text: str, options: Mapping[str, str]) -> str | None:
    """Return the letter of the one option that is the camera's move which a text tells; None for other texts.

    options: {letter: text as written}; at least two have to be moves. A text of two moves, or of one from the side that
    it ends at, tells none.
    """
    own = {letter: _move(found) for letter, option in options.items() if (found := _MOVE.fullmatch(option.strip(" .")))}
    line = " ".join(text.split()).rstrip(" .!")
    said = _SAID.fullmatch(line) if len(line) <= _LONGEST and len(own) > 1 else None
    if said is None or (said["start"] and _OPPOSITE[_short(said["start"])] != _short(said["way"])):
        return None
    named = [letter for letter, move in own.items() if move == _move(said)]
    return named[0] if len(named) == 1 else None


def _move(found: re.Match[str]) -> tuple[str, str]:
    """Return (first three letters of the verb, direction) of a move."""
    return found["verb"].lower()[:3], _short(found["way"])


def _short(way: str) -> str:
    """Return "up" of "upwards"."""
    return re.sub(r"wards?$", "", way.lower())
