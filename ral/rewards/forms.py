r"""Options by their written form: "(2, 3)" is (2,3), "10–20" is 10-20, "$2\pi$" is 2π, "x²" is x^2."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable, Sequence

from ral.options import lettered
from ral.rewards.number_words import SMALL
from ral.rewards.points import as_point

_POWERS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻"
_RAISED = re.compile(rf"[{_POWERS}]+")
_PLAIN_POWERS = str.maketrans(_POWERS, "0123456789+-")
_ENDS = " .。!"
_LEAST_WORDS = 3
"""Words from which on a text is a sentence, whose commas do not count."""

_HOURS = {name: value for name, value in SMALL.items() if 1 <= value <= 12} | {str(n): n for n in range(1, 13)}


def _hour(found: re.Match[str]) -> str:
    """Return "3:00" of "three o'clock"."""
    return f"{_HOURS[found[1]]}:00"


# (what to find, what to write instead), in this order
_FORMS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:left|right|displaystyle)(?![a-z])|\\[,;:! ()\[\]]|\$", " "),
        (r"\\(?:text|mathrm|mathbf|boxed)\s*\{([^{}]*)\}", r"\1"),
        (r"\\[dtc]frac", r"\\frac"),
        (r"\\frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r"\1/\2"),
        (r"\\pi(?![a-z])", "π"),
        (r"\\(?:times|cdot)(?![a-z])", "×"),
        (r"\^\s*\{([^{}]*)\}", r"^\1"),
        (r"[−–—‐‑‒―]", "-"),
        (r"^between\s+([\d:.]+)\s+and\s+([\d:.]+)$", r"\1-\2"),
        (r"^from\s+(?=\d)", ""),
        (r"(?<![\d:.])0(?=\d:\d\d)", ""),
        (r"(?<=\d)\s+(?:to|through)\s+(?=\d)", "-"),
        (rf"^(?:at\s+|the\s+|its?\s+)*({'|'.join(_HOURS)})\s*o['’]?\s?clock(?:\s+(?:position|direction))?$", _hour),
        (r"^(?:in\s+)?(?:the\s+)?year\s+(?=\d{4}$)", ""),
    )
)


def option_of_form(text: str, options: Sequence[str]) -> str | None:
    """Return the letter of the one option that is written like the text (`written_form`); None for none or several.

    Blanks, dashes, LaTeX or Unicode signs and, in sentences, commas make no difference. Nothing else may stand beside.
    """
    own = lettered(tuple(options)) or dict(zip(string.ascii_uppercase, options, strict=False))
    said = written_form(text)
    named = [letter for letter, option in own.items() if said and written_form(option) == said]
    return named[0] if len(named) == 1 else None


def written_form(text: str) -> str:
    """Return the form in which two texts are compared: one case, one way of writing signs, no blanks.

    The coordinates of a point are written as one ("x = 3, y = 4" as "(3, 4)"). A text of _LEAST_WORDS words or more
    keeps single blanks, and loses its commas.
    """
    text = as_point(text) or text
    text = _RAISED.sub(lambda found: "^" + found[0].translate(_PLAIN_POWERS), text)
    text = unicodedata.normalize("NFKC", text).casefold().strip(_ENDS)
    for pattern, replacement in _FORMS:
        text = pattern.sub(replacement, text.strip())
    if len(re.findall(r"[^\W\d_]{2,}", text)) >= _LEAST_WORDS:
        text = re.sub(r"[,;](?!\d)", " ", text)
        return " ".join(text.split())
    return "".join(text.split())
