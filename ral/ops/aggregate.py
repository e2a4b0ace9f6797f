"""Loss aggregation: token weights [N C]; a loss is sum(values * weights).

Over the whole batch of all ranks the weights of a mean sum to 1. Counts are global (all micro-batches, all ranks), so
that cutting the batch into micro-batches or spreading it over ranks changes memory and speed, never the sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Counts:
    """Size of the whole batch over all ranks: responses with at least one token, and response tokens."""

    sequences: float
    tokens: float


def counts(mask: Bool[Tensor, "N C"]) -> Counts:
    """Return the numbers of responses with a token, and of tokens, in one rank's batch [N C]. Not in a paper.

    The result is to be summed over ranks.
    """
    return Counts(sequences=float(mask.any(1).sum()), tokens=float(mask.sum()))


def sequence_mean(mask: Bool[Tensor, "N C"], total: Counts) -> Float[Tensor, "N C"]:
    """Return the weights of a mean over the tokens of each response, then over responses; they sum to 1.

    total: sizes of the whole batch, over all ranks.

    GRPO (arXiv 2402.03300), section 4.1.1, Eq. 3: 1/G sum_i 1/|o_i| sum_t; here also E_t of RAL (arXiv 2602.04884), Eq.
    3, whose order of means the paper does not say.
    """
    lengths = mask.sum(1, keepdim=True).clamp_min(1)
    return mask.float() / (lengths * max(total.sequences, 1.0))


def token_mean(mask: Bool[Tensor, "N C"], total: Counts) -> Float[Tensor, "N C"]:
    """Return the weights of a mean over all response tokens of the batch; they sum to 1.

    total: sizes of the whole batch, over all ranks.

    DAPO (arXiv 2503.14476), section 3.3, Eq. 12: 1 / sum_i |o_i|; there over a group, here over the batch.
    """
    return mask.float() / max(total.tokens, 1.0)


def constant_length(mask: Bool[Tensor, "N C"], total: Counts, *, length: int) -> Float[Tensor, "N C"]:
    """Return the weights of a sum over tokens divided by a constant length, then of a mean over responses.

    total: sizes of the whole batch, over all ranks. length: the constant, in tokens. These weights sum to the mean
    response length over `length`, not to 1. Dr. GRPO (arXiv 2503.20783), section 3.2 with listing 1 (MAX_TOKENS); no
    equation is numbered there.
    """
    return mask.float() / (length * max(total.sequences, 1.0))


def masked_sum(values: Float[Tensor, "N C"], mask: Bool[Tensor, "N C"]) -> Float[Tensor, ""]:
    """Return the sum of values where mask is True; elsewhere they may be anything, NaN too. Not in a paper."""
    return torch.where(mask, values, torch.zeros_like(values)).sum()
