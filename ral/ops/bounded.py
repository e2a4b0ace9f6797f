"""Functions that are exact up to a bound and go on straight beyond it: no overflow, and a slope that never ends."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

MAX_LOG_RATIO = 20.0
"""Up to here, in nats, a ratio is exp(log-ratio): exp(20) = 5e8. Beyond, it goes on straight; they are counted."""
K3_LOG_RATIO = 2.610868638149876
"""Up to here, where it is 10 nats, the k3 estimate of KL is exact; its exponential would dominate all other tokens."""


def exp_then_straight(x: Float[Tensor, "*shape"], bound: float) -> Float[Tensor, "*shape"]:
    """exp(x) up to `bound`, its tangent beyond: no jump in value or slope, no end of the slope, no overflow."""
    beyond = torch.where(x > bound, x - bound, torch.zeros_like(x))
    return x.clamp_max(bound).exp() * (1 + beyond)


def half_square_then_straight(x: Float[Tensor, "*shape"], bound: float) -> Float[Tensor, "*shape"]:
    """x^2 / 2 up to |x| = bound, its tangents beyond."""
    return torch.where(x.abs() > bound, bound * (x.abs() - bound / 2), x.clamp(-bound, bound) ** 2 / 2)
