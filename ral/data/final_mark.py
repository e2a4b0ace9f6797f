r"""The mark under a worked solution, "3+4=7 balls.\n#### 7", behind which its answer stands (GSM8K's files have it)."""

from __future__ import annotations

import re

_LAST = re.compile(r"(?:\A|.*\n)[ \t]*####[ \t]*([^\s#][^\n]*?)\s*", re.DOTALL)


def final_answer(text: str) -> str | None:
    """Return the text behind the mark `####` on the last line; None where that line does not begin with the mark."""
    found = _LAST.fullmatch(text)
    return found[1] if found else None
