"""Functions of log-ratios: the ratio, and estimates of KL, each with a straight end in place of an overflow."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

MAX_LOG_RATIO = 20.0
"""Up to here, in nats, a ratio is exp(log-ratio): exp(20) = 5e8. Beyond, it goes on straight; they are counted."""
K3_LOG_RATIO = 2.610868638149876
"""Up to here, where it is 10 nats, the k3 estimate of KL is exact; its exponential would dominate all other tokens."""


def exp_then_straight(x: Float[Tensor, "*shape"], bound: float) -> Float[Tensor, "*shape"]:
    """Take exp(x) up to `bound` and its tangent beyond: no jump in value or slope, no end of the slope, no overflow.

    Not in a paper; docs/method.md, "Bounds keep a slope".
    """
    beyond = torch.where(x > bound, x - bound, torch.zeros_like(x))
    return x.clamp_max(bound).exp() * (1 + beyond)


def half_square_then_straight(x: Float[Tensor, "*shape"], bound: float) -> Float[Tensor, "*shape"]:
    """Take x^2 / 2 up to |x| = bound and its tangents beyond. Not in a paper; docs/method.md, "Bounds keep a slope"."""
    return torch.where(x.abs() > bound, bound * (x.abs() - bound / 2), x.clamp(-bound, bound) ** 2 / 2)


def kl_estimate(
    log_probs: Float[Tensor, "*shape"], reference_log_probs: Float[Tensor, "*shape"], estimator: str
) -> Float[Tensor, "*shape"]:
    """Estimate KL(pi || pi_ref) at each sampled token by k1, k2 or k3; nats, of the shape of the log-probs.

    With d = log pi_ref - log pi: k1 = -d, k2 = d^2 / 2, k3 = exp(d) - d - 1. Schulman, "Approximating KL Divergence",
    joschu.net/blog/kl-approx.html, 2020 (no sections); k3 is GRPO's (arXiv 2402.03300), section 4.1.1, Eq. 4. Straight
    beyond MAX_LOG_RATIO (k2) and K3_LOG_RATIO (k3), so that the pull back never ends; that is not in a paper.
    """
    log_ratio = reference_log_probs - log_probs
    if estimator == "k1":
        return -log_ratio
    if estimator == "k2":
        return half_square_then_straight(log_ratio, MAX_LOG_RATIO)
    if estimator == "k3":
        return exp_then_straight(log_ratio, K3_LOG_RATIO) - log_ratio - 1
    raise ValueError(f"unknown KL estimator {estimator!r}: write k1, k2 or k3")
