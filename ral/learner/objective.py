"""The objective of a run: a sum of named loss terms, and the signals that each needs.

Shapes: B prompts, G responses each, N = B * G responses, C response tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ral.learner.experience import Passes
from ral.models.family import PatchSettings
from ral.ops.aggregate import Counts
from ral.ops.signals import MASKED, Place, Term, evaluate, frozen_needs, needed
from ral.types import Loss, Metrics, PromptBatch

SecondView = Callable[[PromptBatch, PatchSettings, int], PromptBatch]
"""(prompts with their media, patch settings, seed) -> the same prompts with changed pixels."""


@dataclass(frozen=True)
class Objective:
    """The objective of a run: a sum of named loss terms, and the functions that make their inputs.

    terms: {name: loss term}, whose values are summed. passes: compute the signals. advantage: rewards [B G] ->
    advantages [B G]. aggregate: (mask [N C], counts over all ranks) -> weights of the tokens in the loss [N C].
    shaping: numbers of response tokens [N] -> additions to the rewards [N]; None for no addition. view: makes the
    second view of the prompts; None where no term reads one. evidence: kind of the evidence or placebo that terms read
    (ral.learner.placebo).
    """

    terms: Mapping[str, Term]
    passes: Passes
    advantage: Callable[[Tensor], Tensor]
    aggregate: Callable[[Tensor, Counts], Tensor]
    shaping: Callable[[Tensor], Tensor] | None = None
    view: SecondView | None = None
    evidence: Place = "true"

    @cached_property
    def needs(self) -> frozenset[str]:
        """Return the names of all signals that the terms need."""
        return needed(self.terms.values())

    @property
    def frozen(self) -> dict[str, tuple[str, ...]]:
        """Return {frozen model: kinds of its signals} that the terms need, the old policy ("old") included.

        The model "view" is also there, with no kinds, where only passes with gradient read the second view.
        """
        return ({"view": ()} if self.needs & MASKED else {}) | frozen_needs(self.needs)

    def losses(self, signals: Mapping[str, Any]) -> dict[str, Loss]:
        """Return {term: loss}, with graph, of one micro-batch. signals: {name: signal} of that micro-batch."""
        return {name: evaluate(term, signals) for name, term in self.terms.items()}


def total(losses: Mapping[str, Loss]) -> Tensor:
    """Return the sum of the losses, a scalar with graph, which training minimises."""
    return torch.stack([loss.value for loss in losses.values()]).sum()


def loss_metrics(losses: Mapping[str, Loss]) -> list[Metrics]:
    """Return the metrics of one micro-batch's losses, as (total, count) pairs, of which the mean is total / count.

    Losses of micro-batches and ranks are summed, not averaged, so they have count 0 here; `counted_once` adds a count
    of 1 for the update.
    """
    found: list[Metrics] = []
    for name, loss in losses.items():
        share = loss.value.detach()
        found += [{**loss.metrics, f"loss_{name}": (share, 0)}, {"loss": (share, 0)}]
    return found


def counted_once(losses: Mapping[str, object], ranks: int) -> Metrics:
    """Return the metrics that add the count of one update to each term's loss and to their sum.

    losses: anything with the names of the terms. The count is 1 / ranks, so that it is 1 over all ranks.
    """
    return {"loss": (0, 1 / ranks), **{f"loss_{name}": (0, 1 / ranks) for name in losses}}


def entropy_metrics(signals: Mapping[str, Any], mask: Tensor) -> Metrics:
    """Return {"entropy": (sum in nats, count)} over the response tokens in mask [N C]; {} if signals lack entropy."""
    if "entropy" not in signals:
        return {}
    return {"entropy": ((signals["entropy"] * mask).sum(), mask.sum())}
