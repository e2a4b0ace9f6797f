"""Masks of visual tokens inside the evidence: they measure *where* a model looks, which the paper does not."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from ral.types import Evidence


def evidence_tokens(
    evidence: Sequence[Evidence], grid: tuple[int, int, int], seconds_per_slot: float
) -> Bool[Tensor, "T H W"]:
    """Mark visual tokens whose centre lies in a box and whose time slot overlaps its span. Not in the paper.

    grid: (T, H, W) of one medium's visual tokens. seconds_per_slot: time that a slot covers; a span of None, or a
    picture, counts in every slot.
    """
    t, h, w = grid
    x, y = (torch.arange(w) + 0.5) / w, (torch.arange(h) + 0.5) / h
    inside = torch.zeros(t, h, w, dtype=torch.bool)
    for item in evidence:
        left, top, right, bottom = item.box
        space = ((y >= top) & (y <= bottom))[:, None] & ((x >= left) & (x <= right))[None]
        time = torch.ones(t, dtype=torch.bool)
        if item.span is not None and seconds_per_slot > 0:
            start = torch.arange(t) * seconds_per_slot
            time = (start < item.span[1]) & (start + seconds_per_slot > item.span[0])
        inside |= time[:, None, None] & space
    return inside
