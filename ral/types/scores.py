"""Rewards of a rollout."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Scores:
    """Rewards of N trajectories. reward [N] fp32: the weighted sum; parts: each unweighted part, [N] fp32."""

    reward: Tensor
    parts: dict[str, Tensor]
