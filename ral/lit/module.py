"""The policy as a LightningModule, which gives the step Lightning's optimizer, backward pass and loggers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.optim import Optimizer

from ral.learner.experience import PassSize
from ral.learner.first_weights import load_shards
from ral.learner.gradients import without_wrapper
from ral.learner.metrics import Meter
from ral.learner.ranks import gather, sum_over_ranks
from ral.learner.state import RunState
from ral.learner.step import Step
from ral.learner.task import Task
from ral.learner.weights import restore
from ral.types import PromptBatch, UserError


@dataclass(frozen=True)
class LightningBackend:
    """Lightning's optimizer and backward pass, behind the interface ral.learner.update.Backend."""

    module: L.LightningModule

    @property
    def rank(self) -> int:
        """Return the number of this process, from 0."""
        return self.module.global_rank

    @property
    def ranks(self) -> int:
        """Return the number of processes."""
        return self.module.trainer.world_size

    @property
    def sums_once(self) -> bool:
        """Tell whether gradients of sharded weights are summed over ranks once an update, not once a micro-batch."""
        return getattr(self.module.trainer.strategy, "sum_once", True)

    @property
    def optimizer(self) -> Any:
        """Return the optimizer, whose steps go through Lightning's precision plugin."""
        return self.module.optimizers(use_pl_optimizer=True)

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of this rank's share of a loss, times the number of ranks: gradients are averaged later."""
        with without_wrapper(self.module.trainer.strategy):
            self.module.manual_backward(loss * self.ranks)


def check_same_passes(sizes: Sequence[PassSize]) -> None:
    """Raise UserError unless the passes of all ranks have one size, since every rank takes part in sharded passes.

    sizes: the size of each rank's passes.
    """
    if len(set(sizes)) > 1:
        first, other = sorted(set(sizes), key=lambda size: (size.prompts, size.responses or 0))[:2]
        raise UserError(
            f"hardware.micro_batch_prompts, hardware.micro_batch_responses: ranks of sharded networks differ ({first},"
            f" {other}), as cards of different memory do with auto: write numbers"
        )


class PolicyModule(L.LightningModule):
    """Lightning module that trains the policy of `step`.

    task: evaluates and exports the policy. optimizer: function of parameters that makes the optimizer. state: training
    state, of which this module writes `progress`. checkpoint: folder with the weights and optimizer state from which
    training resumes; None for a new run. shard: function (network, mesh) that shards a network in place; None where
    networks stay whole. latest: metrics of the last step. stepping: whether a step is under way, so that weights may be
    between two updates.
    """

    def __init__(
        self,
        step: Step,
        task: Task,
        optimizer: Callable[..., Optimizer],
        state: RunState,
        checkpoint: Path | None = None,
        shard: Callable[..., None] | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.step, self.task, self.models, self.state = step, task, step.models, state
        self.make_optimizer, self.checkpoint, self.shard = optimizer, checkpoint, shard
        self.policy = self.models.policy
        self.frozen = torch.nn.ModuleDict(self.models.with_weights())
        self.latest: dict[str, float] = {}
        self.stepping, self.waiting_since, self.waited = False, 0.0, 0.0

    def training_step(self, prompts: PromptBatch, index: int) -> None:
        """Make one step and log the metrics, means over all ranks.

        UserError where sampled and trained log-probs differ too much, and as the step raises it.
        """
        self.stepping = True
        stepped = self.step(prompts, self.state.progress, LightningBackend(self))
        self.state.progress, self.stepping = stepped.progress, False
        meter = Meter()
        for pairs in stepped.metrics:
            meter.add(pairs)
        means = {f"train/{k}": v for k, v in meter.means(lambda t: sum_over_ranks(t, self.device)).items()}
        means["train/learning_rate"] = self.optimizers(use_pl_optimizer=False).param_groups[0]["lr"]
        means["data/skipped"] = self.trainer.datamodule.ledger.skipped
        times = {"data_s": self.waited, **stepped.seconds}
        self.latest = means | {f"time/{name}": seconds for name, seconds in times.items()}
        self.write(self.latest)
        self.step.update.diagnostics.check(means)

    def evaluate(self, prompts: PromptBatch) -> list[dict[str, Any]]:
        """Return a record of each held-out prompt; all ranks call it at the same time."""
        return self.task.evaluate(self.policy, prompts)

    def export(self, state: dict[str, Tensor], run: Path) -> None:
        """Write the policy with the whole weights `state` to the run's folder hf/."""
        self.task.export(self.policy, state, run, self.state.progress.step)

    def write(self, values: Mapping[str, float]) -> None:
        """Log {name: value} of the current step to every logger."""
        for logger in self.loggers:
            logger.log_metrics(dict(values), step=self.state.progress.step)

    def configure_model(self) -> None:
        """Shard the networks and read this rank's part of their weights; do nothing where `shard` is None.

        UserError, on all ranks, where weights cannot be read or are unfit.
        """
        if self.shard is None:
            return
        networks = {"policy": self.policy, **self.models.with_weights()}
        for network in networks.values():
            self.shard(network, self.device_mesh["data_parallel"])
        strategy = self.trainer.strategy
        rests = torch.device("cpu") if getattr(strategy, "offload", False) else strategy.root_device
        with self.trainer.precision_plugin.val_step_context():  # the arithmetic of the steps
            load_shards(networks, rests)

    def configure_optimizers(self) -> Optimizer:
        """Return an optimizer of the trained parameters alone, so that frozen weights get no state."""
        return self.make_optimizer([p for _, p in self.policy.trained_parameters()])

    def on_fit_start(self) -> None:
        """Load the checkpoint's weights and optimizer state, if there is one, and give the engine the first weights.

        UserError where ranks of sharded networks have different sizes of passes, or the checkpoint does not fit.
        """
        if self.shard is not None:
            check_same_passes(gather(self.step.size))
        if self.checkpoint is not None:
            restore(self.models, self.optimizers(use_pl_optimizer=False), self.checkpoint)
        self.step.responding.engine.update_weights(self.policy, self.state.progress.version)

    def on_train_start(self) -> None:
        """Start the clock of the time that is spent waiting for data."""
        self.waiting_since = time.perf_counter()

    def on_train_batch_start(self, *_: Any) -> None:
        """Note the seconds that the step waited for its data."""
        self.waited = time.perf_counter() - self.waiting_since

    def on_train_batch_end(self, *_: Any) -> None:
        """Start the clock again. Lightning calls this after the callbacks, whose time is not counted."""
        self.waiting_since = time.perf_counter()
