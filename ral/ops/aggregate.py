"""Aggregation of per-token values to one number: weights [N C] that sum to 1 over the batch, on all ranks together.

A loss is sum(values * weights). The counts are global (all micro-batches, all ranks), so cutting the batch into
micro-batches or spreading it over ranks changes memory and speed, never the sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Counts:
    """Of the whole batch over all ranks: responses with at least one token, and response tokens."""

    sequences: float
    tokens: float


def counts(mask: Bool[Tensor, "N C"]) -> Counts:
    """The counts of one rank's batch."""
    return Counts(sequences=float(mask.any(1).sum()), tokens=float(mask.sum()))


def sequence_mean(mask: Bool[Tensor, "N C"], total: Counts) -> Float[Tensor, "N C"]:
    """Mean over the tokens of a response, then mean over responses (GRPO; RAL's decision for E_t in Eq. 3)."""
    lengths = mask.sum(1, keepdim=True).clamp_min(1)
    return mask.float() / (lengths * max(total.sequences, 1.0))


def token_mean(mask: Bool[Tensor, "N C"], total: Counts) -> Float[Tensor, "N C"]:
    """Mean over all response tokens of the batch (DAPO, arXiv 2503.14476, section 3.3)."""
    return mask.float() / max(total.tokens, 1.0)


def constant_length(mask: Bool[Tensor, "N C"], total: Counts, *, length: int) -> Float[Tensor, "N C"]:
    """Sum over tokens divided by a constant length, mean over responses. length: tokens.

    Dr. GRPO (arXiv 2503.20783, section 3.2).
    """
    return mask.float() / (length * max(total.sequences, 1.0))


def masked_sum(values: Float[Tensor, "N C"], mask: Bool[Tensor, "N C"]) -> Float[Tensor, ""]:
    """Sum of the values that count; a padded value may be anything, NaN too."""
    return torch.where(mask, values, torch.zeros_like(values)).sum()
