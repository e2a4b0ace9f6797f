"""Importance weights for a rollout engine whose kernels or rounding make it sample from almost the policy.

pi_old is the policy as the trainer computes it, mu the distribution that the engine sampled from: E_mu[pi_old / mu f] =
E_pi_old[f].
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ral.ops.aggregate import masked_sum
from ral.types import UserError

Correction = Literal["off", "token_truncate", "sequence_mask"]
"""Kinds of correction: off, none; token_truncate and sequence_mask as in `corrected`."""


def corrected(
    old_log_probs: Float[Tensor, "N C"],
    sampler_log_probs: Float[Tensor, "N C"] | None,
    mask: Bool[Tensor, "N C"],
    correction: Correction,
    cap: float,
) -> tuple[Float[Tensor, "N C"], Bool[Tensor, "N C"]]:
    """Return the factor of each token's surrogate, without gradient, and a mask of the tokens that the cap changed.

    token_truncate: min(pi_old / mu, cap), as in V-trace (Espeholt et al. 2018, arXiv 1802.01561, Eq. 1).
    sequence_mask: the product of the ratios over a response, 0 where it is above the cap (Qi et al. 2025,
    arXiv 2510.26788, section 4). old_log_probs: log pi_old. sampler_log_probs: log mu; UserError where it is None.
    mask: tokens that count. ValueError for "off" and for unknown corrections.
    """
    if sampler_log_probs is None:
        raise UserError(
            f"algo.token.correction={correction}: the rollout engine tells no log-probs: write correction=off"
        )
    if correction not in ("token_truncate", "sequence_mask"):
        raise ValueError(f"unknown correction {correction!r}: write off, token_truncate or sequence_mask")
    log_ratio = (old_log_probs - sampler_log_probs).detach().masked_fill(~mask, 0.0)
    if correction == "sequence_mask":
        log_ratio = log_ratio.sum(1, keepdim=True).expand_as(log_ratio)
    cut = log_ratio > torch.as_tensor(cap, dtype=log_ratio.dtype, device=log_ratio.device).log()
    ratio = log_ratio.masked_fill(cut, 0.0).exp()
    return torch.where(cut, 0.0 if correction == "sequence_mask" else cap, ratio), cut & mask


def sampler_kl(
    log_probs: Float[Tensor, "N C"], sampler_log_probs: Float[Tensor, "N C"], mask: Bool[Tensor, "N C"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return the sums over tokens of |log pi_old - log mu| and of an estimate of KL(mu || pi_old), nats, no gradient.

    log_probs: log pi_old. The estimate, from mu's own samples, is k3: r - 1 - log r with r = pi_old / mu
    (arXiv 2402.03300, Eq. 4).
    """
    log_ratio = (log_probs - sampler_log_probs).detach().float()
    return masked_sum(log_ratio.abs(), mask), masked_sum(log_ratio.expm1() - log_ratio, mask)
