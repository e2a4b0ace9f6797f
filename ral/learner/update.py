"""One update: the losses of every micro-batch, their gradient over all ranks, and the optimizer's step."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ral.learner.diagnostics import Diagnostics, TermGradients, engine_gap
from ral.learner.experience import Experience, remember
from ral.learner.gradients import average_over_ranks, through_all
from ral.learner.guard import Guard
from ral.learner.metrics import detached
from ral.learner.models import Models
from ral.learner.moved_share import Moved
from ral.learner.objective import Objective, counted_once, entropy_metrics, loss_metrics, total
from ral.learner.ranks import together
from ral.learner.state import Progress
from ral.learner.vision_gradient import Copies, Received, copied, taking
from ral.models.mllm import MLLM
from ral.models.sharding import sum_gradients
from ral.types import Metrics

stage = logging.getLogger("ral.stage")
"""Logger of how far a step is; the progress bar reads it."""


class Backend(Protocol):
    """Optimizer and backward passes of the framework that runs the processes."""

    @property
    def rank(self) -> int:
        """Return the number of this process, from 0."""
        ...

    @property
    def ranks(self) -> int:
        """Return the number of processes."""
        ...

    @property
    def sums_once(self) -> bool:
        """Tell whether gradients of sharded weights are summed over ranks once an update, not once a micro-batch."""
        ...

    @property
    def optimizer(self) -> Any:
        """Return the optimizer; its `defaults["lr"]` is the peak of the learning rate."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of this rank's share of a loss; the loss is the sum of all ranks' shares."""
        ...


@dataclass(frozen=True)
class Schedule:
    """Number and size of the updates.

    updates: number on each rollout. learning_rate: function of the step that returns the share of the peak learning
    rate, in [0, 1]. max_grad_norm: the norm to which the gradient, as one vector over all trained weights, is clipped.
    """

    updates: int
    learning_rate: Callable[[int], float]
    max_grad_norm: float


@dataclass(frozen=True)
class Updated:
    """Result of an update: the micro-batches with the old policy's signals, the run's counters, metrics in order."""

    parts: list[Experience]
    progress: Progress
    metrics: list[Metrics]


@dataclass(frozen=True)
class Added:
    """Result of `add_gradient`: the micro-batch with its signals, the value of each loss term, and metrics."""

    experience: Experience
    losses: Mapping[str, Tensor]
    metrics: list[Metrics]


@dataclass(frozen=True)
class Update:
    """Maker of the updates of a run: each call makes one.

    schedule: number and size of the updates. diagnostics: measurements to make. guard: refuses updates whose gradient
    is not finite. moved: samples the weights, to count those that an update changes. heads: output heads of the frozen
    models as signals, {"<model>_head": head}.
    """

    models: Models
    objective: Objective
    schedule: Schedule
    diagnostics: Diagnostics
    guard: Guard
    moved: Moved
    heads: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        heads = {f"{name}_head": model.head for name, model in self.models.frozen.items()}
        object.__setattr__(self, "heads", heads)

    def __call__(self, parts: Sequence[Experience], index: int, progress: Progress, backend: Backend) -> Updated:
        """Make update `index` (from 0) on the whole batch of a rollout, one micro-batch at a time.

        parts: the micro-batches. The result's `progress` counts the update if the guard skipped it. UserError where
        the guard has skipped too many, or an update made weights that are not finite.
        """
        backend.optimizer.zero_grad()
        set_learning_rate(backend.optimizer, self.schedule.learning_rate(progress.step))
        gradients = self.diagnostics.term_gradients(self.objective.terms, progress.step)
        added = self.add_gradients(parts, index, progress.step, backend, gradients)
        metrics = [*(m for each in added for m in each.metrics), gradients.metrics(index)]
        parameters = trained(self.models.policy)
        average_over_ranks(parameters)
        norm = full(nn.utils.clip_grad_norm_(parameters, self.schedule.max_grad_norm))
        return self.apply(added, metrics, norm, index, progress, backend)

    def add_gradients(
        self, parts: Sequence[Experience], index: int, step: int, backend: Backend, gradients: TermGradients
    ) -> list[Added]:
        """Make the forward and backward passes of all micro-batches; return what each has given.

        index, step, gradients: as in `add_gradient`.
        """
        added, received = [], Received()
        for number, part in enumerate(parts, start=1):
            stage.debug("update %d of %d, pass %d of %d", index + 1, self.schedule.updates, number, len(parts))
            earlier = received if number == len(parts) else None
            one, more = self.add_gradient(part, index, step, backend, gradients, earlier)
            added.append(one)
            received += more
        return added

    def add_gradient(
        self,
        part: Experience,
        index: int,
        step: int,
        backend: Backend,
        gradients: TermGradients,
        earlier: Received | None,
    ) -> tuple[Added, Received]:
        """Make the forward and backward pass of the micro-batch `part`.

        Return its signals, losses and metrics, and the gradients of visual embeddings that have not passed through the
        vision tower yet. index: number of the update, from 0. step: number of the step. gradients: adds up each term's
        gradient. earlier: those gradients of visual embeddings of the micro-batches before, for the last one of the
        batch, whose backward pass takes them along; None for the others. At update 0 the same forward pass gives the
        signals of the old policy, since no weight has moved yet.
        """
        policy, needs, last = self.models.policy, self.needs(step), earlier is not None
        read, copies = (part, Copies()) if last else copied(part)
        live = self.objective.passes.live(policy, read, needs)
        part = part if index else remember(part, live, needs)
        signals = {**part.signals, **self.heads, **live}
        losses = self.objective.losses(signals)
        metrics = self.measure(part, signals, index, step) + loss_metrics(losses)
        gradients.add(losses, trained(policy), copies)
        sum_gradients(policy, now=last or not backend.sums_once)
        backend.backward(taking(through_all(total(losses), live["hidden"]), earlier or Received()))
        values = {name: loss.value.detach() for name, loss in losses.items()}
        return Added(part, values, list(map(detached, metrics))), copies.received([leaf.grad for leaf in copies.leaves])

    def needs(self, step: int) -> frozenset[str]:
        """Return the names of the signals that an update of `step` computes: those of objective and diagnostics."""
        more = self.diagnostics.needs(self.objective.needs, self.schedule.updates, step)
        return self.objective.needs | (more & self.objective.passes.offers)

    def measure(self, part: Experience, signals: Mapping[str, Any], index: int, step: int) -> list[Metrics]:
        """Return the metrics of a micro-batch without its losses: entropy, gap to the engine's log-probs, attention.

        signals: {name: signal} of the micro-batch; index: number of the update, from 0; step: number of the step.
        """
        gap = engine_gap(part, signals["log_probs"]) if index == 0 and "log_probs" in signals else {}
        attention = self.diagnostics.attention(part, signals["attention"], index, self.schedule.updates, step)
        return [entropy_metrics(signals, part.rollout.trainable), gap, *attention]

    def apply(
        self,
        added: Sequence[Added],
        metrics: list[Metrics],
        norm: Tensor,
        index: int,
        progress: Progress,
        backend: Backend,
    ) -> Updated:
        """Step the optimizer unless the guard refuses; return the update's result.

        added, metrics: the micro-batches and the metrics so far. norm: norm of the gradient before it was clipped.
        index: number of the update, from 0. UserError where the guard has skipped too many updates, or the step made
        weights that are not finite.
        """
        parts = [each.experience for each in added]
        name = f"step_{progress.step + 1:06d}_update_{index + 1}_rank_{backend.rank}"
        skipped = self.guard.count(progress.skipped, norm, name, parts, [each.losses for each in added])
        refused = skipped > progress.skipped
        metrics = [
            *metrics,
            {"skipped_updates": (float(refused), 1), **counted_once(self.objective.terms, backend.ranks)},
        ]
        if not refused:
            sample = self.moved.sample(trained(self.models.policy))
            backend.optimizer.step()
            metrics.append({"grad_norm": (norm, 1), "moved_share": together(sample.changed)})
        return Updated(parts, replace(progress, skipped=skipped), metrics)


def trained(policy: MLLM) -> list[nn.Parameter]:
    """Return the trained parameters as they are now; call it again after each pass.

    FSDP2 swaps the parameters: they are whole after a forward pass; after a backward pass they are this rank's shards,
    which hold the gradients.
    """
    return [parameter for _, parameter in policy.trained_parameters()]


def set_learning_rate(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Set the rate of every group to a share of the peak, which is the optimizer's default rate."""
    for group in optimizer.param_groups:
        group["lr"] = optimizer.defaults["lr"] * share


def full(norm: Tensor) -> Tensor:
    """Return a norm as a plain tensor. A sharded one is gathered, for which every rank must call this."""
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm
