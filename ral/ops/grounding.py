"""Grounding: visual tokens inside the evidence, and response tokens whose attention to the image is strong and focused.

Not in the paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ral.types import Evidence

HARDEST = 0.5
"""Share of the greatest `hardness` of a response from which on a token counts as looking hardest."""


def evidence_tokens(
    evidence: Sequence[Evidence], grid: tuple[int, int, int], seconds_per_slot: float
) -> Bool[Tensor, "T H W"]:
    """Mark the visual tokens of one image or video inside its evidence: in a box, during its span. Not in the paper.

    A token counts where its centre lies in the box, and where its time slot overlaps the span. Along an axis where a
    box holds no centre, the one token that holds the box's centre counts. grid: (T, H, W) of the visual tokens: time
    slots, rows, columns. seconds_per_slot: time that a slot covers; 0 for an image. Every slot counts for an image, and
    where the span is None.
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
    """Mark which of K equal parts of [0, 1] have their centre in [low, high]; if none, the part with its middle."""
    inside = (centres >= low) & (centres <= high)
    if not bool(inside.any()):
        inside[min(int((low + high) / 2 * len(centres)), len(centres) - 1)] = True
    return inside


def pointing(weights: Float[Tensor, " V"], inside: Bool[Tensor, " V"]) -> float:
    """Return the score of the pointing game: 1 where the maximum of a map lies inside the evidence, else 0.

    weights, inside [V]: the map, and whether a visual token lies inside. With several equal maxima the score is the
    share of them inside. Zhang et al. 2016, arXiv 1608.00507, section 4.1, by visual tokens and without their margin of
    15 pixels.
    """
    return float(inside[weights == weights.max()].float().mean())


def hardness(seen: Float[Tensor, "C V"]) -> Float[Tensor, " C"]:
    """Return how hard each of C response tokens looks: visual share times concentration, both in [0, 1].

    seen: attention of each token on V visual tokens, a part of a row that sums to 1. The visual share is s, the sum of
    seen; the concentration is 1 - H(seen / s) / ln V, H the entropy: 1 where all of s lies on one visual token, 0 where
    it is spread evenly. Not in a paper.
    """
    share, floor = seen.sum(-1), torch.finfo(seen.dtype).tiny
    within = seen / share.clamp_min(floor)[:, None]
    entropy = -(within * within.clamp_min(floor).log()).sum(-1)
    spread = entropy / math.log(seen.shape[-1]) if seen.shape[-1] > 1 else torch.zeros_like(entropy)
    return share * (1 - spread).clamp(0, 1)


def hardest(hard: Float[Tensor, " C"], among: Bool[Tensor, " C"]) -> Bool[Tensor, " C"]:
    """Mark tokens of `among` whose hardness is at least HARDEST times the greatest of `among`. Not in a paper.

    hard: result of `hardness`.
    """
    if not bool(among.any()):
        return among
    return among & (hard >= HARDEST * hard[among].max())
