"""Advantages from rewards. Each function maps rewards [B G] to advantages [B G] and ignores no response silently."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ral.ops.signals import compares


@compares(least=2)
def group_normalised(rewards: Float[Tensor, "B G"], *, epsilon: float = 1e-4) -> Float[Tensor, "B G"]:
    """GRPO, RAL Eq. 8: (r - mean) / (std + epsilon) over the G responses of a prompt; std is the unbiased one.

    Rewards 1, 0, 0, 0 give the winner 1.4997. A group of equal rewards (or of one response) gets zeros.
    """
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    if rewards.shape[1] < 2:
        return torch.zeros_like(rewards)
    spread = rewards.std(dim=1, keepdim=True)
    flat = rewards.amax(dim=1, keepdim=True) == rewards.amin(dim=1, keepdim=True)
    return torch.where(flat, torch.zeros_like(centred), centred / (spread + epsilon))


@compares(least=2)
def group_centred(rewards: Float[Tensor, "B G"]) -> Float[Tensor, "B G"]:
    """Dr. GRPO (arXiv 2503.20783, section 3.2): r - mean over the group, without division by the spread."""
    return rewards - rewards.mean(dim=1, keepdim=True)


def ones(rewards: Float[Tensor, "B G"]) -> Float[Tensor, "B G"]:
    """Every response counts alike: supervised targets, and distillation without a reward (RAL, Eq. 5 alone)."""
    return torch.ones_like(rewards)
