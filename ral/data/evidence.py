"""Masks of the evidence: visual tokens of a prompt inside the boxes and time spans that a question is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ral.ops.grounding import evidence_tokens
from ral.types import Evidence, Pixels, PromptBatch


def evidence_mask(prompts: PromptBatch, media: Sequence[Sequence[Pixels]], frames_per_slot: int) -> Tensor:
    """Return [B P] bool, True on visual tokens inside the evidence of each prompt's first image or video.

    B prompts of P tokens. The mask is False where an example has no evidence. media: the decoded images and videos of
    each prompt. frames_per_slot: sampled frames that one time slot of visual tokens covers.
    """
    mask = torch.zeros_like(prompts.visual)
    for n, (example, pixels) in enumerate(zip(prompts.examples, media, strict=True)):
        if example.evidence and pixels:
            seconds = pixels[0].seconds_per_frame * frames_per_slot
            evidence = [since(item, pixels[0].start) for item in example.evidence]
            inside = evidence_tokens(evidence, prompts.grids[n][0], seconds).flatten()
            mask[n, prompts.visual[n].nonzero().squeeze(-1)[: len(inside)]] = inside
    return mask


def since(evidence: Evidence, start: float) -> Evidence:
    """Return the evidence with its time span counted from `start`, in seconds; unchanged where it has no span.

    start: the second at which the part of the video that is read begins.
    """
    if evidence.span is None:
        return evidence
    begin, end = evidence.span
    return replace(evidence, span=(begin - start, end - start))
