"""Functions of log-ratios: ratios, the clipped surrogate and estimates of KL, each linear where it would overflow."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

RatioLevel = Literal["token", "sequence"]
"""Level of the importance ratio: one for each token, or one for each response."""
Clip = Literal["surrogate", "weight"]
"""Quantity that is clipped: "surrogate", the product ratio * advantage, without a gradient beyond the bounds (PPO);
"weight", the factor in front of a log-prob, which keeps its gradient (CISPO)."""

MAX_LOG_RATIO = 20.0
"""Log-ratio, in nats, beyond which the ratio exp(log-ratio) is linear (exp(20) = 5e8). Metrics count such tokens."""
K3_LOG_RATIO = 2.610868638149876
"""Log-ratio at which k3 is 10 nats; beyond it k3 is linear, so that one exponential does not dominate all tokens."""


def exp_then_straight(x: Float[Tensor, "*shape"], bound: float) -> Float[Tensor, "*shape"]:
    """Compute exp(x) up to x = bound and its tangent beyond: continuous in value and slope, without overflow.

    Not in a paper; docs/method.md, "Bounds keep a slope".
    """
    beyond = torch.where(x > bound, x - bound, torch.zeros_like(x))
    return x.clamp_max(bound).exp() * (1 + beyond)


def half_square_then_straight(x: Float[Tensor, "*shape"], bound: float) -> Float[Tensor, "*shape"]:
    """Compute x^2 / 2 up to |x| = bound, its tangents beyond. Not in a paper; docs/method.md, "Bounds keep a slope"."""
    return torch.where(x.abs() > bound, bound * (x.abs() - bound / 2), x.clamp(-bound, bound) ** 2 / 2)


def kl_estimate(
    log_probs: Float[Tensor, "*shape"], reference_log_probs: Float[Tensor, "*shape"], estimator: str
) -> Float[Tensor, "*shape"]:
    """Estimate KL(pi || pi_ref) at each sampled token by k1, k2 or k3; nats, of the shape of the log-probs.

    With d = log pi_ref - log pi: k1 = -d, k2 = d^2 / 2, k3 = exp(d) - d - 1. Schulman, "Approximating KL Divergence",
    joschu.net/blog/kl-approx.html, 2020 (no sections); k3 is GRPO's (arXiv 2402.03300), section 4.1.1, Eq. 4. Linear
    beyond MAX_LOG_RATIO (k2) and K3_LOG_RATIO (k3), so that the gradient neither overflows nor ends there; that is not
    in a paper. ValueError for another estimator.
    """
    log_ratio = reference_log_probs - log_probs
    if estimator == "k1":
        return -log_ratio
    if estimator == "k2":
        return half_square_then_straight(log_ratio, MAX_LOG_RATIO)
    if estimator == "k3":
        return exp_then_straight(log_ratio, K3_LOG_RATIO) - log_ratio - 1
    raise ValueError(f"unknown KL estimator {estimator!r}: write k1, k2 or k3")


def at_level(log_ratio: Float[Tensor, "N C"], mask: Bool[Tensor, "N C"], level: RatioLevel) -> Float[Tensor, "N C"]:
    """Return the log-ratios [N C] as they are (token), or at each token the mean over its response (sequence).

    sequence: log s_i of GSPO (arXiv 2507.18071), section 4.1, Eq. 7: the geometric mean of the tokens' ratios.
    ValueError for another level.
    """
    if level == "token":
        return log_ratio
    if level != "sequence":
        raise ValueError(f"unknown ratio {level!r}: write token or sequence")
    mean = log_ratio.masked_fill(~mask, 0.0).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp_min(1)
    return mean.expand_as(log_ratio)


def clipped_surrogate(
    ratio: Float[Tensor, "N C"],
    log_probs: Float[Tensor, "N C"],
    advantages: Float[Tensor, " N"],
    bounds: tuple[float, float],
    clip: Clip,
) -> tuple[Float[Tensor, "N C"], Bool[Tensor, "N C"]]:
    """Return the objective to maximise at each token, and a mask of the tokens that the clip changes.

    bounds: least and greatest ratio. surrogate: min(r A, clip(r) A), PPO (arXiv 1707.06347), section 3, Eq. 7. weight:
    clip(r) A log pi, where clip(r) has no gradient and log pi keeps its own: CISPO (arXiv 2506.13585), section 3.1, Eq.
    4 and 5. ValueError for another clip.
    """
    advantage, within = advantages[:, None], ratio.clamp(*bounds)
    if clip == "weight":
        return within.detach() * advantage * log_probs, within != ratio
    if clip != "surrogate":
        raise ValueError(f"unknown clip {clip!r}: write surrogate or weight")
    clipped = within * advantage
    return torch.minimum(ratio * advantage, clipped), clipped < ratio * advantage
