"""JSON values read from text, and the reasons, in words, why some valid JSON cannot be used."""

from __future__ import annotations

import json
import re
from typing import Any

LONGEST_NUMBER = 4300  # digits of a whole number that Python reads
SURROGATE = re.compile("[\ud800-\udfff]")


def long_number(line: bytes) -> bool:
    """Tell whether a line holds a whole number of more than LONGEST_NUMBER digits."""
    return re.search(rb"[\s:,\[]-?\d{%d,}\s*[,\]}\s]" % (LONGEST_NUMBER + 1), line) is not None


class Unreadable(ValueError):
    """Raised for valid JSON that cannot be used. write: the remedy."""

    def __init__(self, reason: str, write: str) -> None:
        super().__init__(reason)
        self.write = write


def decoded(text: str, at: int = 0) -> tuple[Any, int]:
    """Return the JSON value that begins at character `at`, and the character where it ends.

    If the value holds a whole number of more than LONGEST_NUMBER digits, each of its whole numbers is replaced by its
    length in characters. JSONDecodeError where there is no JSON value.
    """
    try:
        return json.JSONDecoder().raw_decode(text, at)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return json.JSONDecoder(parse_int=len).raw_decode(text, at)


def is_object(line: str) -> bool:
    """Tell whether a line is a JSON object, perhaps with a comma behind it."""
    try:
        line = line.strip().rstrip(",")
        value, end = decoded(line)
        return isinstance(value, dict) and end == len(line)
    except (ValueError, RecursionError):
        return False


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object. ValueError where a key stands in it twice with different values."""
    found = dict(pairs)
    if len(found) < len(pairs):
        for key, value in pairs:
            if found[key] != value and value == value:  # NaN is not the same as itself
                raise ValueError(f"the key {key!r} stands twice in one object, with different values")
    return found


def _whole_number(digits: str) -> int:
    """Return a whole number. Unreadable where it has too many digits."""
    if len(digits.lstrip("-")) > LONGEST_NUMBER:
        reason = f"a number of {len(digits.lstrip('-'))} digits is too long to be read as a number"
        raise Unreadable(reason, "write it as text, in quotes")
    return int(digits)


def parsed(raw: bytes) -> Any:
    """Return the value of a piece of JSON in UTF-8, perhaps with a comma behind it.

    UnicodeDecodeError, JSONDecodeError or another ValueError where it is no JSON; Unreadable where it is JSON that
    cannot be used; RecursionError where it is nested too deeply.
    """
    text = raw.decode("utf-8").lstrip("\ufeff \t\r\n").rstrip(" \t\r\n,")
    data = json.loads(text, object_pairs_hook=_once, parse_int=_whole_number)
    if "\\ud" in text or "\\uD" in text:  # half of a pair of surrogates is no character
        half = SURROGATE.search(json.dumps(data, ensure_ascii=False))
        if half is not None:
            reason = f"holds \\u{ord(half.group()):04x}, half of a surrogate pair without its other half"
            raise Unreadable(reason, "write the whole character, or leave it out")
    return data
