"""The policy as a LightningModule: one step is rollout, rewards, advantages, frozen signals, updates."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import lightning as L
import torch
import torch.distributed as dist
from torch import Tensor
from torch.optim import Optimizer

from ral.algorithms.t_grpo import Temporal
from ral.evaluation.held_out import evaluate_prompts
from ral.learner.experience import Experience, Forward, freeze, remember
from ral.learner.gradients import average_over_ranks, through_all, without_wrapper
from ral.learner.metrics import Meter, rollout_pairs
from ral.learner.moved import Moved
from ral.lit.data import together
from ral.lit.diagnostics import Diagnostics
from ral.models.mllm import MLLM
from ral.models.saving import save_network
from ral.models.sharding import reshard, sum_gradients
from ral.ops.aggregate import Counts, counts
from ral.ops.signals import Term, evaluate, frozen_needs, needed
from ral.rollout.engine import Engine, Sampling, check_version
from ral.rollout.seeds import hash_seed
from ral.types import Loss, Prepared, PromptBatch, Rollout, Scores

P = ParamSpec("P")
R = TypeVar("R")


def timed(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Add a method's seconds to self.times[name], the device's work included."""

    def wrap(method: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(method)
        def inner(*args: P.args, **kwargs: P.kwargs) -> R:
            self: Any = args[0]
            started = time.perf_counter()
            result = method(*args, **kwargs)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            self.times[name] = self.times.get(name, 0.0) + time.perf_counter() - started
            return result

        return inner

    return wrap


@dataclass(frozen=True)
class Models:
    """The networks of a run. Only `policy` is trained; the others exist where an objective asks for them."""

    policy: MLLM
    reference: MLLM | None = None
    ema: MLLM | None = None
    teacher: MLLM | None = None


@dataclass(frozen=True)
class Settings:
    """Numbers of the update. ema_decay is per rollout step; micro_batch_prompts bounds memory, never the result.

    all_layers: whether an evaluation measures the grounding of every decoder layer too.
    """

    updates_per_rollout: int
    max_grad_norm: float
    micro_batch_prompts: int
    seed: int
    ema_decay: float = 0.99
    all_layers: bool = False


class PolicyModule(L.LightningModule):
    """Trains models.policy on `objective`, a sum of named terms (ral.ops.objectives).

    source(prepared, seed=seed) -> Rollout: the engine's responses, or given ones; engine: answers held-out prompts,
    by evaluation_sampling; reward(rollout) -> Scores; advantage(rewards [B G]) -> [B G];
    aggregate(mask, counts) -> weights; optimizer(parameters) -> Optimizer; learning_rate(step) -> factor in [0, 1].
    guard(gradient norm, place, micro-batches, losses) -> whether the update may be made (ral.lit.guards.Skip).
    temporal: T-GRPO's responses to shuffled clips, which change rewards and are never trained on.
    """

    def __init__(
        self,
        models: Models,
        objective: Mapping[str, Term],
        *,
        engine: Engine,
        source: Callable[..., Rollout],
        evaluation_sampling: Sampling,
        reward: Callable[[Rollout], Scores],
        evaluation_reward: Callable[[Rollout], Scores],
        advantage: Callable[[Tensor], Tensor],
        aggregate: Callable[[Tensor, Counts], Tensor],
        passes: Forward,
        optimizer: Callable[..., Optimizer],
        learning_rate: Callable[[int], float],
        settings: Settings,
        diagnostics: Diagnostics,
        guard: Callable[..., bool],
        shard: Callable[..., None] | None = None,
        temporal: Temporal | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.policy = models.policy
        self.others = torch.nn.ModuleDict(
            {k: m for k in ("reference", "ema", "teacher") if (m := getattr(models, k)) is not None}
        )
        self.same_sight = {k for k, m in vars(models).items() if m is not None and m.sees_like(models.policy)}
        self.objective, self.needs = dict(objective), needed(objective.values())
        self.engine, self.source, self.evaluation_sampling = engine, source, evaluation_sampling
        self.reward, self.evaluation_reward = reward, evaluation_reward
        self.advantage, self.aggregate = advantage, aggregate
        self.passes, self.make_optimizer, self.learning_rate = passes, optimizer, learning_rate
        self.settings, self.diagnostics, self.guard = settings, diagnostics, guard
        self.shard, self.temporal = shard, temporal
        self.rollout_step, self.stepping, self.moved = 0, False, Moved(settings.seed)
        self.meter = Meter()
        self.latest: dict[str, float] = {}
        self.scored: list[Callable[[Rollout, Scores], None]] = []  # called with each step's rollout and its scores
        self.times: dict[str, float] = {}

    # ---- one step

    def training_step(self, prompts: PromptBatch, index: int) -> None:
        """Rollout, rewards, advantages, frozen signals, then `updates_per_rollout` updates on the same batch."""
        started, self.stepping = time.perf_counter(), True
        prepared = self.see(prompts)
        rollout, shuffled = self.roll_out(prompts, prepared)
        scores = self.score(rollout, shuffled)
        advantages = self.advantage(scores.reward.view(-1, rollout.group_size)).flatten()
        experience = self.freeze(prompts, prepared, rollout, advantages)
        for update in range(self.settings.updates_per_rollout):
            experience = self.update(experience, update)
        self.finish_step(rollout, scores, started)

    @timed("vision_s")
    def see(self, prompts: PromptBatch) -> Prepared:
        """Prompts with positions and visual embeddings, for every pass of the step."""
        return self.policy("prepare", prompts)

    @timed("rollout_s")
    def roll_out(self, prompts: PromptBatch, prepared: Prepared) -> tuple[Rollout, Rollout | None]:
        """Responses to the prompts, and to their shuffled clips where the algorithm wants them.

        A prompt's depend on seed, step and the prompt alone, not on batch or rank.
        """
        seed = hash_seed(self.settings.seed, self.rollout_step)
        with self.engine.session():
            rollout = self.source(prepared, seed=seed)
            check_version(rollout, self.rollout_step, self.engine.max_lag)
            return rollout, self.temporal.roll_out(self.policy, self.engine, prompts, seed) if self.temporal else None

    @timed("reward_s")
    def score(self, rollout: Rollout, shuffled: Rollout | None = None) -> Scores:
        """Rewards of the responses, shown to whoever asked for them."""
        scores = together(lambda: self.reward(rollout))
        if self.temporal is not None:
            add = self.temporal.add
            scores, pairs = together(lambda: add(scores, rollout, shuffled))
            self.meter.add(pairs)
        for show in tuple(self.scored):
            show(rollout, scores)
        return scores

    @timed("freeze_s")
    def freeze(
        self, prompts: PromptBatch, prepared: Prepared, rollout: Rollout, advantages: Tensor
    ) -> list[Experience]:
        """Micro-batches with global weights and the other networks' signals that the objective asks for."""
        models = {}
        for name in (n for n in frozen_needs(self.needs) if n in self.others):  # in one order on every rank
            other: MLLM = self.others[name]  # type: ignore[assignment]
            models[name] = (other, prepared if name in self.same_sight else other("prepare", prompts))
        local = counts(rollout.trainable)
        total = self.sum_over_ranks(torch.tensor([local.sequences, local.tokens], dtype=torch.float64))
        weights = self.aggregate(rollout.trainable, Counts(*total.tolist()))
        batch = Experience(prepared, rollout, advantages.to(weights.device), weights)
        return freeze(self.passes, models, batch, self.needs, self.settings.micro_batch_prompts)

    @timed("update_s")
    def update(self, experience: list[Experience], update: int) -> list[Experience]:
        """One optimizer step on the whole batch, in micro-batches of whole groups.

        The first update's own pass is where the signals of the old policy come from: no weight has moved yet.
        """
        optimizer = self.optimizers(use_pl_optimizer=True)
        optimizer.zero_grad()
        self.set_learning_rate(optimizer)
        needs = self.needs | self.diagnostics.needs(self.needs, self.settings.updates_per_rollout, self.rollout_step)
        done, values = [], []
        for part in experience:
            live = self.passes.live(self.policy, part, needs)
            done.append(part if update else remember(part, live, needs))
            losses = self.losses(done[-1], live)
            values.append({name: loss.value.detach() for name, loss in losses.items()})
            total = torch.stack([loss.value for loss in losses.values()]).sum()
            self.diagnostics.during(self, update, done[-1], live, losses)
            self.add_gradients(through_all(total, live["hidden"]), last=part is experience[-1])
        self.diagnostics.update_done(self, update)
        parameters = [p for _, p in self.policy.trained_parameters()]
        average_over_ranks(parameters)
        norm = full(torch.nn.utils.clip_grad_norm_(parameters, self.settings.max_grad_norm))
        once = {f"loss_{name}": (0, 1 / self.trainer.world_size) for name in self.objective}
        place = f"step_{self.rollout_step + 1:06d}_update_{update + 1}_rank_{self.global_rank}"
        sound = self.guard(norm, place, done, values)
        self.meter.add({"skipped_updates": (float(not sound), 1), "loss": (0, 1 / self.trainer.world_size), **once})
        if sound:
            self.meter.add({"grad_norm": (norm, 1), "moved_share": self.moved(parameters, optimizer.step)})
        return done

    def add_gradients(self, loss: Tensor, last: bool) -> None:
        """A micro-batch's backward pass. Ranks hear of each other's gradients once an update, at its last one."""
        keep = self.policy.trains_vision and not last  # all micro-batches share the vision tower's graph
        strategy = self.trainer.strategy
        sum_gradients(self.policy, now=last or not getattr(strategy, "sum_once", True))
        with without_wrapper(strategy):
            # ranks average gradients, and the weights are global: hence the factor
            self.manual_backward(loss * self.trainer.world_size, retain_graph=keep)

    def losses(self, part: Experience, live: Mapping[str, Any]) -> dict[str, Loss]:
        """Every term of the objective on one micro-batch."""
        heads = {f"{name}_head": other.head for name, other in self.others.items()}
        signals = {**part.signals, **heads, **live}
        losses = {name: evaluate(term, signals) for name, term in self.objective.items()}
        mask = part.rollout.trainable
        if "entropy" in signals:
            self.meter.add({"entropy": ((signals["entropy"] * mask).sum(), mask.sum())})
        for name, loss in losses.items():
            share = loss.value.detach()  # of a sum over micro-batches and ranks; `update` counts it once
            self.meter.add({**loss.metrics, f"loss_{name}": (share, 0)})
            self.meter.add({"loss": (share, 0)})
        return losses

    def finish_step(self, rollout: Rollout, scores: Scores, started: float) -> None:
        """Log the step's means over all ranks, move the EMA policy, count the step."""
        self.meter.add(rollout_pairs(rollout, scores))
        means = {f"train/{k}": v for k, v in self.meter.means(self.sum_over_ranks).items()}
        means["train/learning_rate"] = self.optimizers(use_pl_optimizer=False).param_groups[0]["lr"]
        means["data/skipped"] = self.trainer.datamodule.ledger.skipped
        if "ema" in self.others:
            self.move_ema(self.others["ema"])  # type: ignore[arg-type]
        self.rollout_step, self.stepping = self.rollout_step + 1, False
        self.engine.update_weights(self.policy, self.rollout_step)
        self.times["step_s"] = time.perf_counter() - started
        self.latest = means | {f"time/{k}": v for k, v in self.times.items()}
        self.times = {}
        self.write(self.latest)
        self.diagnostics.check(means)

    # ---- evaluation

    def evaluate(self, prompts: PromptBatch) -> list[dict[str, Any]]:
        """Greedy answers to held-out prompts: a record of each, with rewards and where the answer looks."""
        return evaluate_prompts(
            self.policy,
            prompts,
            self.engine,
            self.evaluation_sampling,
            self.evaluation_reward,
            self.passes,
            self.settings.all_layers,
        )

    def export(self, state: dict[str, Tensor], run: Path) -> None:
        """Write the policy with the whole weights `state` to the run's folder hf/."""
        save_network(self.policy.network, state, self.policy.processor, run / "hf")

    # ---- Lightning's hooks and helpers

    def on_fit_start(self) -> None:
        """Lightning calls this after the callbacks: a checkpoint's weights are in place."""
        self.engine.update_weights(self.policy, self.rollout_step)

    def on_train_start(self) -> None:
        """The first step's data are waited for from here on."""
        self.waiting_since = time.perf_counter()

    def on_train_batch_start(self, *_: Any) -> None:
        """The time that the step waited for its data."""
        self.times["data_s"] = time.perf_counter() - self.waiting_since

    def on_train_batch_end(self, *_: Any) -> None:
        """Lightning calls this after the callbacks: what follows is waiting for data."""
        self.waiting_since = time.perf_counter()

    def configure_model(self) -> None:
        """Shard the networks where the hardware asks for it."""
        if self.shard is not None:
            own = [
                m for m in self.others.values() if next(m.parameters(), None) is not None
            ]  # not a view of the policy
            for network in (self.policy, *own):
                self.shard(network, self.device_mesh["data_parallel"])

    def configure_optimizers(self) -> Optimizer:
        """An optimizer over the trained parameters alone: frozen weights get no state."""
        return self.make_optimizer([p for _, p in self.policy.trained_parameters()])

    def set_learning_rate(self, optimizer: Any) -> None:
        """The schedule is a function of the rollout step; the peak is the optimizer's default rate."""
        peak = self.optimizers(use_pl_optimizer=False).defaults["lr"]
        for group in optimizer.param_groups:
            group["lr"] = peak * self.learning_rate(self.rollout_step)

    @torch.no_grad()
    def move_ema(self, ema: MLLM) -> None:
        """ema <- decay * ema + (1 - decay) * policy, once per rollout step."""
        reshard(ema)
        own = dict(self.policy.network.named_parameters())
        for name, average in ema.network.named_parameters():
            if own[name].requires_grad:
                average.lerp_(own[name].to(average.dtype), 1 - self.settings.ema_decay)

    def sum_over_ranks(self, values: Tensor) -> Tensor:
        """Sum over all ranks; the values themselves in a single process."""
        if not (dist.is_available() and dist.is_initialized()):
            return values
        values = values.to(self.device) if self.device.type == "cuda" else values.clone()
        dist.all_reduce(values)
        return values.cpu()

    def write(self, values: Mapping[str, float]) -> None:
        """Hand a step's values to every logger."""
        for logger in self.loggers:
            logger.log_metrics(dict(values), step=self.rollout_step)


def full(norm: Tensor) -> Tensor:
    """A plain tensor, whatever the sharding."""
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm
