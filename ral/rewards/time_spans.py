"""Options that are spans of a clip: "From 5 to 10 seconds" is 0:05 - 0:10, "65s to 70s" is 1:05 - 1:10."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

_LONGEST = 150  # characters of such an answer
_SECONDS = r"(?:s|secs?\.?|seconds?)"
_MINUTES = r"(?:m|mins?\.?|minutes?)"
_N = r"\d{1,5}(?:\.\d{1,3})?"
_CLOCKED = r"(?:\d{1,2}:)?\d{1,3}:[0-5]\d(?:\.\d{1,3})?"
_TIME = rf"{_CLOCKED}|{_N}(?: ?{_SECONDS}| ?{_MINUTES}(?: (?:and )?{_N} ?{_SECONDS})?)?"
_SPAN = re.compile(
    rf"(?P<start>{_TIME})(?: mark)?(?: ?[-–—~] ?| (?:to|until|till|and|through|up to) (?:around |about )?)"
    rf"(?P<end>{_TIME})(?![\w:]|[.,]\d)(?: mark)?",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"(?:(?P<hours>\d{1,2}):)?(?P<minutes>\d{1,3}):(?P<seconds>[0-5]\d(?:\.\d{1,3})?)")
_MEASURED = re.compile(
    rf"(?:(?P<minutes>{_N}) ?{_MINUTES}(?: (?:and )?(?P<rest>{_N}) ?{_SECONDS})?"
    rf"|(?P<seconds>{_N})(?P<unit> ?{_SECONDS})?)",
    re.IGNORECASE,
)
_SET_OFF = re.compile(
    r"\b(?:not|no|never|or|but|except|without|before|after|maybe|perhaps|might|may|could|than|if|whether|frames?|then"
    r"|later|earlier|ago|prior|from the (?:very )?(?:end|finish)|into the (?!video|clip|recording|footage|film))\b"
    r"|n['’]t\b|[?]",
    re.IGNORECASE,
)
Span = tuple[Fraction, Fraction]


def option_of_span(text: str, options: Mapping[str, str]) -> str | None:
    """Return the letter of the one option that is the span of time which a text tells; None for other texts.

    options: {letter: text}, all spans of times with a unit or of a clock. The text holds one span, perhaps in a
    sentence that denies and doubts nothing; the unit may stand behind the second number alone. A span without units
    ("5-10") may be of minutes, so is none.
    """
    own = {letter: _span(option.strip(" .")) for letter, option in options.items()}
    line = " ".join(text.split())
    if len(own) < 2 or None in own.values() or len(line) > _LONGEST or _SET_OFF.search(line):
        return None
    found = list(_SPAN.finditer(line))
    rest = _SPAN.sub(" ", line)
    if len(found) != 1 or re.search(r"\d", rest):
        return None
    said = _read(found[0])
    named = [letter for letter, span in own.items() if span == said]
    return named[0] if said and len(named) == 1 else None


def _span(text: str) -> Span | None:
    """Return the span that a text is; None for other texts."""
    found = _SPAN.fullmatch(re.sub(r"^(?:from|between) ", "", text, flags=re.IGNORECASE))
    return _read(found) if found else None


def _read(found: re.Match[str]) -> Span | None:
    """Return (start, end) in seconds of a span; None for one without units, and where the end is not the later one."""
    end, unit = _seconds(found["end"], None)
    start, _ = _seconds(found["start"], unit)
    return (start, end) if start is not None and end is not None and start < end else None


def _seconds(text: str, default: int | None) -> tuple[Fraction | None, int | None]:
    """Return (seconds of a time, the seconds of its unit); (None, None) where it has no unit and there is no default.

    default: seconds of the unit that the other time of the span has, None for none and for a clock.
    """
    if clock := _CLOCK.fullmatch(text):
        return 3600 * int(clock["hours"] or 0) + 60 * int(clock["minutes"]) + Fraction(clock["seconds"]), None
    found = _MEASURED.fullmatch(text)
    if found is None:
        return None, None
    if found["minutes"]:
        return 60 * Fraction(found["minutes"]) + Fraction(found["rest"] or 0), None if found["rest"] else 60
    size = 1 if found["unit"] else default
    return (Fraction(found["seconds"]) * size, size) if size else (None, None)
