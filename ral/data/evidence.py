"""Masks of the evidence: visual tokens of a prompt inside the boxes and time spans that a question is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ral.ops.grounding import evidence_tokens
from ral.types import Evidence, Pixels, PromptBatch


def evidence_mask(prompts: PromptBatch, media: Sequence[Sequence[Pixels]], frames_per_slot: int) -> Tensor:
    """Return [B P] bool, over the first medium of each prompt; all False where an example has no evidence.

    media: the decoded media of each prompt; frames_per_slot: frames that one temporal slot of visual tokens spans.
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
    """Return the evidence whose span, given in the clip's own time, counts from `start`: the part of the clip that is
    read.
    """
    if evidence.span is None:
        return evidence
    begin, end = evidence.span
    return replace(evidence, span=(begin - start, end - start))
