"""The entropy bonus, a loss term that keeps the policy from becoming certain too early."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ral.ops.aggregate import masked_sum
from ral.ops.logprobs import CHUNK_TOKENS, Head, policy_logits
from ral.types import Loss


def _entropies(hidden: Tensor, head: Head, banned: Tensor, temperature: float) -> Tensor:
    """Compute the entropy [M] of each next-token distribution, in nats; hidden [M D], banned [V], which add 0."""
    log_p = torch.log_softmax(policy_logits(hidden, head, temperature=temperature, banned=banned), -1)
    return -(log_p.exp() * log_p.masked_fill(banned, 0.0)).sum(-1)


def entropy(
    hidden: Float[Tensor, "N C D"],
    head: Head,
    banned: Bool[Tensor, " V"],
    temperature: float,
    mask: Bool[Tensor, "N C"],
    weights: Float[Tensor, "N C"],
    *,
    coef: float = 0.01,
    chunk: int = CHUNK_TOKENS,
) -> Loss:
    """Return the entropy bonus as a loss: -coef * sum(weights * H(pi)), H of the distribution of each response token.

    PPO (arXiv 1707.06347), section 5, Eq. 9, whose c_2 is coef, with the opposite sign since a loss is minimised. H is
    exact, over the whole vocabulary at `temperature`, without banned tokens, in nats. hidden[n, c]: the state that
    predicts token c. Logits exist for `chunk` tokens at once and are recomputed in the backward pass, so that no
    [N, C, V] tensor exists.
    """
    parts = [
        checkpoint(_entropies, part, head, banned, temperature, use_reentrant=False)
        for part in hidden[mask].split(chunk)
    ]
    flat = torch.cat(parts) if parts else hidden.new_zeros(0, dtype=torch.float32)
    values = torch.zeros(mask.shape, dtype=flat.dtype, device=mask.device).masked_scatter(mask, flat)
    value = -coef * masked_sum(values * weights.masked_fill(~mask, 0.0), mask)
    return Loss(value, {"entropy_term": (masked_sum(values.detach(), mask), mask.sum())})
