"""Advantages from rewards: each function maps rewards [B G] to advantages [B G].

B is the number of prompts of the whole batch, over all ranks; the G responses to a prompt are a group.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ral.ops.signals import compares


@compares(least=2)
def group_normalised(rewards: Float[Tensor, "B G"], *, epsilon: float = 1e-4) -> Float[Tensor, "B G"]:
    """Normalise rewards within their group: (r - mean) / (std + epsilon), std with G - 1 in its denominator.

    RAL (arXiv 2602.04884), Eq. 8; GRPO (arXiv 2402.03300), section 4.1.2. Rewards 1, 0, 0, 0 give the winner 1.4997. A
    group of equal rewards (or of one response) gets zeros.
    """
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    if rewards.shape[1] < 2:
        return torch.zeros_like(rewards)
    spread = rewards.std(dim=1, keepdim=True)
    flat = rewards.amax(dim=1, keepdim=True) == rewards.amin(dim=1, keepdim=True)
    return torch.where(flat, torch.zeros_like(centred), centred / (spread + epsilon))


@compares(least=2)
def group_centred(rewards: Float[Tensor, "B G"]) -> Float[Tensor, "B G"]:
    """Subtract the group's mean from each reward, without division by the standard deviation.

    Dr. GRPO (arXiv 2503.20783), section 3.2; its text drops the std of GRPO's advantage and numbers no equation.
    """
    return rewards - rewards.mean(dim=1, keepdim=True)


@compares(least=2)
def leave_one_out(rewards: Float[Tensor, "B G"]) -> Float[Tensor, "B G"]:
    """Subtract from each reward the mean of the other responses of its group; a group of one response gets zeros.

    RLOO: Ahmadian et al. (arXiv 2402.14740), section 2, "REINFORCE Leave-One-Out", first in Kool et al. 2019. Rewards
    1, 0, 0, 0 give 1 and three times -1/3: G / (G - 1) times what `group_centred` gives.
    """
    count = rewards.shape[1]
    if count < 2:
        return torch.zeros_like(rewards)
    return rewards - (rewards.sum(dim=1, keepdim=True) - rewards) / (count - 1)


@compares(batch=2)
def batch_normalised(rewards: Float[Tensor, "B G"], *, epsilon: float = 1e-4) -> Float[Tensor, "B G"]:
    """Normalise over the whole batch: (r - mean) / (std + epsilon) of all B G rewards, std with denominator B G - 1.

    REINFORCE++ (arXiv 2501.03262), section 3, global advantage normalisation, for one response a prompt or several. A
    batch of equal rewards gets zeros.
    """
    centred = rewards - rewards.mean()
    if rewards.numel() < 2 or bool(rewards.amax() == rewards.amin()):
        return torch.zeros_like(rewards)
    return centred / (rewards.std() + epsilon)


@compares(least=2)
def group_centred_batch_normalised(rewards: Float[Tensor, "B G"], *, epsilon: float = 1e-4) -> Float[Tensor, "B G"]:
    """Subtract the group's mean from each reward, then normalise over the whole batch (`batch_normalised`).

    REINFORCE++ with baseline (arXiv 2501.03262), section 3. Groups of equal rewards get zeros, exactly.
    """
    flat = rewards.amax(dim=1, keepdim=True) == rewards.amin(dim=1, keepdim=True)
    return batch_normalised(group_centred(rewards), epsilon=epsilon).masked_fill(flat, 0.0)


def ones(rewards: Float[Tensor, "B G"]) -> Float[Tensor, "B G"]:
    """Return the advantage 1 for every response: supervised targets, and distillation without a reward.

    RAL (arXiv 2602.04884), Eq. 5, which has no advantage.
    """
    return torch.ones_like(rewards)
