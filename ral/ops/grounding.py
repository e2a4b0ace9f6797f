"""Grounding: visual tokens inside the evidence, and the response tokens that look hardest. Not in the paper."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ral.types import Evidence

HARDEST = 0.5
"""Tokens that look at least this times as hard as the hardest one count as looking hardest."""


def evidence_tokens(
    evidence: Sequence[Evidence], grid: tuple[int, int, int], seconds_per_slot: float
) -> Bool[Tensor, "T H W"]:
    """Mark visual tokens whose centre lies in a box and whose time slot overlaps its span. Not in the paper.

    A box between all centres marks the one token that holds its own centre: a small object is evidence, too.
    grid: (T, H, W) of one medium's visual tokens. seconds_per_slot: time that a slot covers; a span of None, or a
    picture, counts in every slot.
    """
    t, h, w = grid
    x, y = (torch.arange(w) + 0.5) / w, (torch.arange(h) + 0.5) / h
    inside = torch.zeros(t, h, w, dtype=torch.bool)
    for item in evidence:
        left, top, right, bottom = map(float, item.box)
        space = _between(y, top, bottom)[:, None] & _between(x, left, right)[None]
        time = torch.ones(t, dtype=torch.bool)
        if item.span is not None and seconds_per_slot > 0:
            start = torch.arange(t) * seconds_per_slot
            time = (start < item.span[1]) & (start + seconds_per_slot > item.span[0])
        inside |= time[:, None, None] & space
    return inside


def _between(centres: Float[Tensor, " K"], low: float, high: float) -> Bool[Tensor, " K"]:
    """Mark the centres of K equal parts of 0 .. 1 in low .. high; without one the part that holds its middle."""
    inside = (centres >= low) & (centres <= high)
    if not bool(inside.any()):
        inside[min(int((low + high) / 2 * len(centres)), len(centres) - 1)] = True
    return inside


def pointing(weights: Float[Tensor, " V"], inside: Bool[Tensor, " V"]) -> float:
    """Return 1 where the maximum of a map lies inside, else 0, of several equal maxima their share: the pointing game.

    Zhang et al. 2016, arXiv 1608.00507, section 4.1, by visual tokens and without their margin of 15 pixels.
    """
    return float(inside[weights == weights.max()].float().mean())


def hardness(seen: Float[Tensor, "C V"]) -> Float[Tensor, " C"]:
    """Return how hard each token looks: visual share times concentration, both in [0, 1].

    seen: each token's attention on V visual tokens, out of all its attention. The share is its sum s; the concentration
    is 1 - H(seen / s) / ln V, H the entropy: 1 where all of s lies on one token, 0 where it is spread evenly. Not in a
    paper.
    """
    share, floor = seen.sum(-1), torch.finfo(seen.dtype).tiny
    within = seen / share.clamp_min(floor)[:, None]
    entropy = -(within * within.clamp_min(floor).log()).sum(-1)
    spread = entropy / math.log(seen.shape[-1]) if seen.shape[-1] > 1 else torch.zeros_like(entropy)
    return share * (1 - spread).clamp(0, 1)


def hardest(hard: Float[Tensor, " C"], among: Bool[Tensor, " C"]) -> Bool[Tensor, " C"]:
    """Mark the tokens that look hardest among some: HARDEST times as hard as the hardest, or harder. Not in a paper."""
    if not bool(among.any()):
        return among
    return among & (hard >= HARDEST * hard[among].max())
