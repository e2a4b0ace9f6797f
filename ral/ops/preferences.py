"""The loss of a reward model on pairs of responses."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from ral.types import Loss


def bradley_terry(
    scores: Float[Tensor, " N"],
    mask: Bool[Tensor, "N C"],
    weights: Float[Tensor, "N C"],
    *,
    coef: float = 1.0,
    centring: float = 0.0,
) -> Loss:
    """Return coef times the mean over pairs of -log sigmoid(r_c - r_r) + centring * (r_c + r_r)^2, nats.

    scores [N]: r_c of the chosen response at 2k, r_r of the rejected one to the same prompt at 2k + 1. weights: result
    of `ral.ops.aggregate.sequence_mean`, so that each pair weighs 1 / (pairs of the whole batch). Metrics: means over
    pairs of the accuracy (0.5 for equal scores) and of r_c - r_r. Bradley and Terry, "Rank analysis of incomplete
    block designs", 1952; as a loss: Ouyang et al. (arXiv 2203.02155), section 3.5, Eq. 1. The second term keeps scores
    around 0, which differences alone leave free: Eisenstein et al. (arXiv 2312.09244), Eq. 2.
    """
    chosen, rejected = scores.view(-1, 2).unbind(1)
    share = weights.masked_fill(~mask, 0.0).sum(1).view(-1, 2).sum(1)
    margin = chosen - rejected
    values = -logsigmoid(margin) + centring * (chosen + rejected) ** 2
    count = torch.tensor(len(margin))
    right = (margin.detach().sign() + 1) / 2
    metrics = {"pair_accuracy": (right.sum(), count), "margin": (margin.detach().sum(), count)}
    return Loss(coef * (values * share).sum(), metrics)
