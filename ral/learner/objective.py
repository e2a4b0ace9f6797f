"""The objective of a run: a sum of named terms, and the signals that each asks for."""

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
"""(prompts with their media, patch settings, seed) -> the same prompts, other pixels."""


@dataclass(frozen=True)
class Objective:
    """The objective of a run: a sum of named terms, and how rewards and masks become what the terms read.

    terms: {name: term}, summed; passes: make the signals; advantage: rewards [B G] -> [B G]; aggregate: (mask [N C],
    counts over all ranks) -> weights [N C]; shaping: response tokens [N] -> what is added to the rewards, None for
    nothing. view: makes the second view of the prompts, None where no term reads one; evidence: which places count as
    the evidence (ral.learner.placebo).
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
        """Return the names of all signals that the terms ask for."""
        return needed(self.terms.values())

    @property
    def frozen(self) -> dict[str, tuple[str, ...]]:
        """Return {model: kinds} of the frozen signals that the terms ask for; "view" also where updates read it."""
        return ({"view": ()} if self.needs & MASKED else {}) | frozen_needs(self.needs)

    def losses(self, signals: Mapping[str, Any]) -> dict[str, Loss]:
        """Return every term's loss."""
        return {name: evaluate(term, signals) for name, term in self.terms.items()}


def total(losses: Mapping[str, Loss]) -> Tensor:
    """Return the sum that is minimised."""
    return torch.stack([loss.value for loss in losses.values()]).sum()


def loss_metrics(losses: Mapping[str, Loss]) -> list[Metrics]:
    """Return the metrics of one micro-batch's losses.

    A loss is a sum over micro-batches and ranks, so that it counts 0 here; `counted_once` counts each update.
    """
    found: list[Metrics] = []
    for name, loss in losses.items():
        share = loss.value.detach()
        found += [{**loss.metrics, f"loss_{name}": (share, 0)}, {"loss": (share, 0)}]
    return found


def counted_once(losses: Mapping[str, object], ranks: int) -> Metrics:
    """Count one update for the losses of all terms and their sum, over all ranks together."""
    return {"loss": (0, 1 / ranks), **{f"loss_{name}": (0, 1 / ranks) for name in losses}}


def entropy_metrics(signals: Mapping[str, Any], mask: Tensor) -> Metrics:
    """Return the entropy of the policy at response tokens (mask [N C]), where the pass gives one."""
    if "entropy" not in signals:
        return {}
    return {"entropy": ((signals["entropy"] * mask).sum(), mask.sum())}
