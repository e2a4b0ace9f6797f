"""The answer inside a response."""

from __future__ import annotations

OPEN = "<answer>"
CLOSE = "</answer>"


def extract_answer(text: str) -> str | None:
    """What stands between the first `<answer>` and the next `</answer>`, stripped; None where there is no such pair.

    Same result as the regular expression `<answer>(.*?)</answer>` with dot matching newlines, in linear time even on
    a response that repeats an opening tag thousands of times.
    """
    start = text.find(OPEN)
    if start < 0:
        return None
    end = text.find(CLOSE, start + len(OPEN))
    return None if end < 0 else text[start + len(OPEN) : end].strip()
