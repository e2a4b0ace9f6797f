"""The answer in a JSON object, which may stand in a code fence: B of {"answer": "B", "confidence": 0.95}."""

from __future__ import annotations

import json
import re

LONGEST = 4000  # characters of an object that is read
KEYS = frozenset({"answer", "final_answer", "finalanswer", "option", "choice", "letter"})
_FENCE = re.compile(r"\s*```[A-Za-z]*\s*(?P<inner>.*?)\s*```\s*", re.DOTALL)


def keyed(text: str) -> str:
    """Return the answer in a text that is a JSON object: the value of its one key in KEYS. Any other text is unchanged.

    The object may stand in a code fence. A number is returned as written. Unchanged is also an object with no or two
    keys in KEYS, or whose value there is a list, an object or null.
    """
    fenced = _FENCE.fullmatch(text) if len(text) <= LONGEST else None
    inner = (fenced["inner"] if fenced else text).strip()
    if not (inner.startswith("{") and inner.endswith("}")) or len(inner) > LONGEST:
        return text
    pairs = _pairs(inner) or (_pairs(inner.replace("'", '"')) if '"' not in inner else None) or []
    said = [value for key, value in pairs if key.strip().lower().replace(" ", "_") in KEYS]
    if len(said) != 1 or not isinstance(said[0], str | bool):
        return text
    return said[0] if isinstance(said[0], str) else json.dumps(said[0])


def _pairs(text: str) -> list[tuple[str, object]] | None:
    """Return the keys and values of a JSON object, its numbers as written; None for other texts."""
    try:
        found = json.loads(text, object_pairs_hook=list, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) else None
