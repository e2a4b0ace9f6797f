"""The cut of a knockout's condition over a batch of prompts: which keys are hidden from which queries."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch
from torch import Tensor

from ral.evaluation.knockout.conditions import Condition
from ral.rollout.seeds import hash_seed
from ral.types import Cut, Grid, PromptBatch


def cut_of(prompts: PromptBatch, condition: Condition, seed: int) -> Cut | None:
    """Return the cut of a condition; None for the condition without a cut. seed: decides the placebos.

    The question's tokens are the valid tokens of the prompt that are not visual. With causal attention only those
    behind the medium read it; the last one of them decides the first token of the response.
    """
    if condition.keys is None:
        return None
    question = prompts.valid & ~prompts.visual
    return Cut(
        keys=keys_of(prompts, condition, seed),
        queries=question if condition.part in ("question", "both") else torch.zeros_like(question),
        response=condition.part in ("response", "both"),
        layers=None if condition.layers is None else frozenset(condition.layers),
    )


def keys_of(prompts: PromptBatch, condition: Condition, seed: int) -> Tensor:
    """Return the keys that a condition hides, [B P] bool: the evidence, the first medium, or a placebo.

    B prompts of P tokens. The placebo is as many other tokens of the first medium as the evidence has, drawn by seed,
    uid and condition.draw.
    """
    if condition.keys == "evidence":
        return prompts.evidence
    medium = first_medium(prompts.visual, prompts.grids)
    if condition.keys == "medium":
        return medium
    chosen = torch.zeros_like(medium)
    for n, example in enumerate(prompts.examples):
        others = (medium[n] & ~prompts.evidence[n]).nonzero().squeeze(-1)
        own = hash_seed(seed, zlib.crc32(example.uid.encode()), condition.draw)
        order = torch.randperm(len(others), generator=torch.Generator().manual_seed(own))
        chosen[n, others[order[: int(prompts.evidence[n].sum())]]] = True
    return chosen


def first_medium(visual: Tensor, grids: Sequence[Sequence[Grid]]) -> Tensor:
    """Return the mask [B P] bool of the visual tokens of each prompt's first medium, which the evidence is in."""
    counts = torch.tensor([t * h * w for t, h, w in (media[0] if media else (0, 0, 0) for media in grids)])
    return visual & (visual.cumsum(1) <= counts[:, None])
