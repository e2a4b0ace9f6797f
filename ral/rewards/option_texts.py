"""Texts of options as answers are compared with them: one case, one width, single blanks, no marks at the ends."""

from __future__ import annotations

import re
import string
from functools import lru_cache

from ral.options import lettered
from ral.rewards.claims import ENDS
from ral.rewards.dress import unmarked, visible


@lru_cache(maxsize=4096)
def split_options(options: tuple[str, ...]) -> dict[str, str]:
    """Return {letter: normalised text} of options such as ("A. red", "C) blue").

    Given letters stay; options without letters get A, B, C, ...
    """
    found = lettered(options) or dict(zip(string.ascii_uppercase, options, strict=False))
    return {letter: normalised(text) for letter, text in found.items()}


def normalised(text: str) -> str:
    """Return the text as options are compared: one case, one width, single blanks, no marks at its ends or after the
    letter.
    """
    text = re.sub(r"^\s*[(\[]?([A-Za-z])[)\].:、]+\s+", r"\1 ", visible(text))
    line = " ".join(unmarked(text).casefold().split())
    return line.strip(ENDS) or line
