"""Reward for the form that the prompt asks for: a think block and an answer block."""

from __future__ import annotations

from ral.rewards.answers import CLOSE, OPEN, THINK_CLOSE, THINK_OPEN
from ral.types import Example

TAGS = (THINK_OPEN, THINK_CLOSE, OPEN, CLOSE)
"""Tags of a response. A model may always write them, also where they are special tokens."""


def response_format(example: Example, response: str, *, thinking: bool) -> float:
    """Return 1.0 where the whole response is in form, else 0.0 (paper: `<think>...</think><answer>...</answer>`).

    thinking=True: a think block, optional white space, an answer block, with exactly one of each of the four tags.
    thinking=False (RAL-zero): one answer block alone, and no think tag anywhere.
    Nothing may stand before the first or after the last block, not even white space, as in Video-R1's published check.
    So a response in form always has an answer (`answers.answer_span`), and one that quotes a tag in its thought is not
    in form. example: not read.
    """
    body = _without_thought(response) if thinking else response
    return float(body is not None and _is_answer_block(body))


def _without_thought(response: str) -> str | None:
    """Return the response after its leading think block and white space; None where it does not begin with such a
    block.
    """
    if not response.startswith(THINK_OPEN):
        return None
    thought, closed, rest = response[len(THINK_OPEN) :].partition(THINK_CLOSE)
    if not closed or any(tag in thought for tag in (THINK_OPEN, OPEN, CLOSE)):
        return None
    return rest.lstrip()


def _is_answer_block(text: str) -> bool:
    """Tell whether a text is `<answer>...</answer>` and nothing else, with no tag inside."""
    if not (text.startswith(OPEN) and text.endswith(CLOSE)):
        return False
    inside = text[len(OPEN) : -len(CLOSE)]
    return len(text) >= len(OPEN) + len(CLOSE) and not any(
        tag in inside for tag in (OPEN, CLOSE, THINK_OPEN, THINK_CLOSE)
    )
