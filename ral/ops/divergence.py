"""Divergences between two distributions over the last axis, in nats, computed in fp32 or wider.

RAL (arXiv 2602.04884), Eq. 3: D(p_theta || p_old) is a symmetric bounded divergence; the paper takes Jensen-Shannon,
the others are options. p is the distribution being trained, q the anchor. Entries where both are zero (masked keys,
padding) add nothing to the value nor to the gradient. At p = q all are zero, and so is their gradient in the logits of
a softmax, since their gradient in p is the same number on every key. K keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Divergence = Callable[[Float[Tensor, "*rows K"], Float[Tensor, "*rows K"]], Float[Tensor, "*rows"]]
"""(p [.. K], q [.. K]) -> D(p, q) [..], nats."""
DivergenceName = Literal["jsd", "forward_kl", "reverse_kl", "squared_hellinger", "total_variation"]
"""The keys of DIVERGENCES."""


def _log(p: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Compute log p, with the smallest normal number in place of 0: finite, and 0 * log 0 = 0 with a zero gradient."""
    return p.clamp_min(torch.finfo(p.dtype).tiny).log()


def jsd(p: Float[Tensor, "*rows K"], q: Float[Tensor, "*rows K"]) -> Float[Tensor, "*rows"]:
    """Compute Jensen-Shannon, 1/2 KL(p||m) + 1/2 KL(q||m) with m = (p+q)/2; in [0, ln 2].

    D of RAL (arXiv 2602.04884), Eq. 3; section 3.4: dJ/dp = 1/2 ln(2p/(p+q)). Defined by Lin, "Divergence measures
    based on the Shannon entropy", IEEE Trans. Inf. Theory 37(1), 1991, Eq. 4.1 with equal weights.
    """
    log_m = _log((p + q) / 2)
    return ((p * (_log(p) - log_m)).sum(-1) + (q * (_log(q) - log_m)).sum(-1)) / 2


def forward_kl(p: Float[Tensor, "*rows K"], q: Float[Tensor, "*rows K"]) -> Float[Tensor, "*rows"]:
    """Compute KL(q || p), so that p must cover the anchor's mass: an option for D of RAL (arXiv 2602.04884), Eq. 3.

    Kullback and Leibler, "On information and sufficiency", 1951. Unbounded; keys with q > 0 = p cost about 87 q (fp32).
    """
    return (q * (_log(q) - _log(p))).sum(-1)


def reverse_kl(p: Float[Tensor, "*rows K"], q: Float[Tensor, "*rows K"]) -> Float[Tensor, "*rows"]:
    """Compute KL(p || q), so that p stays where the anchor has mass: an option for D of RAL (arXiv 2602.04884), Eq. 3.

    Kullback and Leibler, "On information and sufficiency", 1951. Unbounded; keys with p > 0 = q cost about 87 p (fp32).
    """
    return (p * (_log(p) - _log(q))).sum(-1)


def squared_hellinger(p: Float[Tensor, "*rows K"], q: Float[Tensor, "*rows K"]) -> Float[Tensor, "*rows"]:
    """Compute 1 - sum sqrt(p q), in [0, 1]: an option for D of RAL (arXiv 2602.04884), Eq. 3. Hellinger, 1909."""
    tiny = torch.finfo(p.dtype).tiny
    return ((p.clamp_min(tiny).sqrt() - q.clamp_min(tiny).sqrt()) ** 2).sum(-1) / 2


def total_variation(p: Float[Tensor, "*rows K"], q: Float[Tensor, "*rows K"]) -> Float[Tensor, "*rows"]:
    """Compute half the L1 distance, in [0, 1]: an option for D of RAL (arXiv 2602.04884), Eq. 3.

    Its gradient does not shrink near p = q, but is 0 exactly there.
    """
    return (p - q).abs().sum(-1) / 2


DIVERGENCES: dict[str, Divergence] = {
    "jsd": jsd,
    "forward_kl": forward_kl,
    "reverse_kl": reverse_kl,
    "squared_hellinger": squared_hellinger,
    "total_variation": total_variation,
}


def divergence(name: str) -> Divergence:
    """Return the divergence of that name, for D of RAL, Eq. 3. ValueError for another name lists the known ones."""
    if name not in DIVERGENCES:
        raise ValueError(f"unknown divergence {name!r}: write one of {', '.join(DIVERGENCES)}")
    return DIVERGENCES[name]
