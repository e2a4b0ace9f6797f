"""Rewards of a rollout."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Scores:
    """Rewards of N trajectories. reward [N] fp32: weighted sum of the parts. parts: {name: [N] fp32}, unweighted."""

    reward: Tensor
    parts: dict[str, Tensor]
