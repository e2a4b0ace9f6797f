"""The answer inside a response: the text between <answer> and </answer> that counts.

One function, `answer_span`, serves rewards, benchmarks, evaluation and the checks at a run's start.
"""

from __future__ import annotations

import re

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
OPEN, CLOSE = "<answer>", "</answer>"

_TAG = re.compile("|".join(map(re.escape, (THINK_OPEN, THINK_CLOSE, OPEN, CLOSE))))
_END = re.compile(r"(?:\s|<\|[\w-]{1,40}\|>|</s>|[\u200b\ufeff])*")  # blanks and end tokens

Span = tuple[int, int]


def extract_answer(text: str) -> str | None:
    """Return the text of a response's answer block, stripped; None where it has none. See `answer_span`."""
    span = answer_span(text)
    return None if span is None else text[slice(*span)].strip()


def first_answer(text: str) -> str | None:
    """Return the text between the first `<answer>` and the next `</answer>`, as Video-R1 reads it; else None."""
    start = text.find(OPEN)
    end = text.find(CLOSE, start + len(OPEN)) if start >= 0 else -1
    return None if end < 0 else text[start + len(OPEN) : end].strip()


def answer_span(text: str) -> Span | None:
    """Return (start, end) of the text inside a response's answer block; None where it has no such block.

    A thought ends at `</think>`, also where its `<think>` stands in the prompt. After the last `</think>` that an
    answer block follows, the first block counts; where no block follows any, the first block before `<think>`. Tags
    that a thought quotes are no answer, but a thought that never ends counts as answered where the response ends with a
    block. Of `<answer>` repeated before one `</answer>` the last opens the block. Tags are exact: other case, width or
    attributes make other tags. Linear in the length of the text.
    """
    if OPEN not in text or CLOSE not in text:
        return None
    parts: list[list[re.Match[str]]] = [[]]
    for tag in _TAG.finditer(text):
        if tag[0] == THINK_CLOSE:
            parts.append([])
        else:
            parts[-1].append(tag)
    for tags in reversed(parts[1:]):
        if block := _first_block(tags):
            return block
    opens_thought = any(tag[0] == THINK_OPEN for tag in parts[0])
    if len(parts) > 1 and not opens_thought:
        return None  # all of it is a thought that began in the prompt
    if block := _first_block(parts[0]):
        return block
    return _ending_block(parts[0], text) if len(parts) == 1 else None


def _first_block(tags: list[re.Match[str]]) -> Span | None:
    """Return the first block before any thought begins."""
    start: int | None = None
    for tag in tags:
        if tag[0] == THINK_OPEN:
            return None
        if tag[0] == OPEN:
            start = tag.end()
        elif start is not None:
            return start, tag.start()
    return None


def _ending_block(tags: list[re.Match[str]], text: str) -> Span | None:
    """Return the block that a text ends with, whatever stands before it."""
    pair = tags[-2:]
    if [tag[0] for tag in pair] != [OPEN, CLOSE] or not _END.fullmatch(text, pair[1].end()):
        return None
    return pair[0].end(), pair[1].start()
