"""One step: rollout, frozen signals, rewards, advantages, updates. Each stage is a method that returns its result.

Shapes: B prompts, G responses each, N = B * G responses, C response tokens, P prompt tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from ral.learner.clock import Clock
from ral.learner.experience import Experience, PassSize, Portion, freeze, portions
from ral.learner.metrics import rollout_pairs
from ral.learner.models import Models, free_gathered, move_average
from ral.learner.objective import Objective
from ral.learner.placebo import place
from ral.learner.ranks import gather, sum_over_ranks, together
from ral.learner.redraw import Redraw
from ral.learner.state import Progress
from ral.learner.update import Backend, Update
from ral.models.mllm import MLLM
from ral.ops.aggregate import Counts, counts
from ral.rollout.engine import Engine, check_version
from ral.rollout.seeds import hash_seed
from ral.types import Metrics, Prepared, PromptBatch, Rollout, Scores

Scoring = Callable[[], tuple[Scores, list[Metrics]]]
"""Function that waits for the rewards of a rollout, and returns them with metrics."""
Observer = Callable[[Rollout, Scores], None]
"""Function that is called with the rollout and scores of each step, before the updates."""


class Companion(Protocol):
    """Source of further responses beside the rollout: they change its rewards, and nothing is trained on them."""

    def roll_out(self, policy: MLLM, engine: Engine, prompts: PromptBatch, seed: int) -> Rollout | None:
        """Return the further responses to a step's prompts; None where this rank has none.

        prompts: as collated, with their pixels. seed: fixes the draw. To be called inside a session of the engine.
        """
        ...

    def add(self, scores: Scores, rollout: Rollout, further: Rollout | None) -> tuple[Scores, Metrics]:
        """Return the changed scores of the rollout, and metrics. further: the result of `roll_out`; it may be None."""
        ...


class NoCompanion:
    """Companion without further responses."""

    def roll_out(self, policy: MLLM, engine: Engine, prompts: PromptBatch, seed: int) -> Rollout | None:
        """Return None."""
        return None

    def add(self, scores: Scores, rollout: Rollout, further: Rollout | None) -> tuple[Scores, Metrics]:
        """Return the scores unchanged, and no metrics."""
        return scores, {}


@dataclass(frozen=True)
class Responding:
    """Source of a step's responses: sampled by the engine, or given by the data.

    source: function (prepared, seed=seed) -> Rollout, whose responses are sampled by `engine` or given. companion:
    source of further responses. seed: seed of the run. redraw: replaces prompts whose responses have one reward by
    further prompts, and a step then gets the prompts of all rounds; None to keep all prompts.
    """

    engine: Engine
    source: Callable[..., Rollout]
    companion: Companion
    seed: int
    redraw: Redraw | None = None

    def __call__(
        self, policy: MLLM, prompts: PromptBatch, prepared: Prepared, progress: Progress
    ) -> tuple[Rollout, Rollout | None]:
        """Return the rollout, and the companion's further responses or None.

        Samples depend on weights, seed, step and prompt alone. UserError, on all ranks, where the engine fails on one,
        or sampled with weights older than max_lag allows.
        """
        seed = hash_seed(self.seed, progress.step)
        with self.engine.session():
            rollout = together(lambda: self.sampled(prepared, seed, progress.version))
            return rollout, self.companion.roll_out(policy, self.engine, prompts, seed)

    def redrawn(
        self,
        policy: MLLM,
        prepared: Prepared,
        progress: Progress,
        redraw: Redraw,
        reward: Callable[[Rollout], Scores],
    ) -> tuple[Prepared, Rollout, Scores, int]:
        """Return the prompts that `redraw` chose, their responses and scores, and the number of prompts tried.

        prepared: the prompts of all rounds. reward: scores the responses of each round. Every rank must call this.
        UserError, on all ranks, where the engine fails, samples with weights older than max_lag allows, or gives
        responses of several turns.
        """

        def answer(part: Prepared, seed: int) -> tuple[Rollout, Scores]:
            rollout = self.sampled(part, seed, progress.version)
            return rollout, reward(rollout)

        with self.engine.session():
            return redraw(prepared, hash_seed(self.seed, progress.step), answer, policy.processor)

    def sampled(self, prepared: Prepared, seed: int, version: int) -> Rollout:
        """Return the rollout of `source`. version: version of the policy's weights.

        UserError where the engine fails, or sampled with weights older than its max_lag allows.
        """
        rollout = self.source(prepared, seed=seed)
        check_version(rollout, version, self.engine.max_lag)
        return rollout


@dataclass(frozen=True)
class Stepped:
    """Result of a step: the new counters, metrics as (total, count) pairs to add up, and the seconds of its parts."""

    progress: Progress
    metrics: list[Metrics]
    seconds: dict[str, float]


@dataclass(frozen=True)
class Step:
    """Maker of the steps of a run: each call makes one.

    responding: source of the responses. reward: function of a rollout that returns its Scores; one with a method
    begin(rollout) computes them during the frozen models' passes (`begun`). update: makes the updates. observers:
    called with each rollout and its scores. size: size of a micro-batch. ema_decay: decay of the averaged models,
    applied once a step.
    """

    models: Models
    objective: Objective
    responding: Responding
    reward: Callable[[Rollout], Scores]
    update: Update
    observers: Sequence[Observer] = ()
    size: PassSize = field(default_factory=PassSize)
    ema_decay: float = 0.99

    def __call__(self, prompts: PromptBatch, progress: Progress, backend: Backend) -> Stepped:
        """Make one step on this rank's prompts: sample, compute frozen signals, score, and make all updates.

        The engine then gets the new weights. Every rank must call it.
        """
        policy, clock = self.models.policy, Clock(self.models.policy.device)
        with clock("vision_s"):
            prepared = policy.prepare(prompts)
        with clock("rollout_s"):
            prepared, rollout, scoring = self.answers(prompts, prepared, progress)
        with clock("freeze_s"):
            places, parts = self.frozen(prepared, rollout)
        with clock("reward_s"):
            scores, metrics = scoring()
            parts = self.rewarded(places, parts, rollout, scores)
        for index in range(self.update.schedule.updates):
            with clock("update_s"):
                updated = self.update(parts, index, progress, backend)
            parts, progress, metrics = updated.parts, updated.progress, metrics + updated.metrics
        move_average(self.models, self.ema_decay)
        progress = replace(progress, step=progress.step + 1, version=progress.version + 1)
        self.responding.engine.update_weights(policy, progress.version)
        return Stepped(progress, [*metrics, rollout_pairs(rollout, scores)], clock.seconds | {"step_s": clock.total()})

    def answers(
        self, prompts: PromptBatch, prepared: Prepared, progress: Progress
    ) -> tuple[Prepared, Rollout, Scoring]:
        """Return the prompts that are trained on, their responses, and a function that waits for the rewards.

        With `redraw` the responses are scored within this call, so that their scoring counts as rollout time.
        """
        policy, redraw = self.models.policy, self.responding.redraw
        if redraw is None:
            rollout, further = self.responding(policy, prompts, prepared, progress)
            return prepared, rollout, partial(self.score, rollout, begun(self.reward, rollout), further)
        prepared, rollout, plain, drawn = self.responding.redrawn(policy, prepared, progress, redraw, self.reward)
        more: Metrics = {"prompts_drawn": (drawn, len(prepared))}
        return prepared, rollout, partial(self.score, rollout, lambda: plain, None, more)

    def score(
        self, rollout: Rollout, reward: Callable[[], Scores], further: Rollout | None, *more: Metrics
    ) -> tuple[Scores, list[Metrics]]:
        """Return the final scores and metrics: rewards, changed by the companion, with the addition for length.

        The observers are called with these scores. reward: waits for the plain scores. further: the companion's
        responses; None where there are none. more: metrics that are passed on.
        """
        scores, metrics = together(lambda: self.responding.companion.add(reward(), rollout, further))
        scores, shaped = self.shaped(scores, rollout)
        for observe in self.observers:
            observe(rollout, scores)
        return scores, [metrics, shaped, *more]

    def shaped(self, scores: Scores, rollout: Rollout) -> tuple[Scores, Metrics]:
        """Return the scores with the objective's addition for response length, and its metrics."""
        if self.objective.shaping is None:
            return scores, {}
        added = self.objective.shaping(rollout.trainable.sum(1)).to(scores.reward)
        return replace(scores, reward=scores.reward + added), {"overlong": (added.sum(), len(added))}

    def frozen(self, prepared: Prepared, rollout: Rollout) -> tuple[list[Portion], list[Experience]]:
        """Return the micro-batches as indices into the batch, and as experience with token weights and frozen signals.

        Weights are normalised over all ranks. Advantages are zero until `rewarded`.
        """
        objective, mask = self.objective, rollout.trainable
        evidence, second = self.second_view(prepared, rollout)
        views = self.models.views(objective.frozen, prepared.prompts, prepared, rollout, second)
        weights = objective.aggregate(mask, counts_over_ranks(mask))
        batch = Experience(
            prepared,
            rollout,
            weights.new_zeros(len(weights)),
            weights,
            shown=views.policy.shown,
            evidence=evidence,
            second=views.frozen["view"].prepared if second is not None else None,
        )
        places = portions(prepared, rollout, self.size)
        parts = freeze(objective.passes, views.frozen, batch, objective.needs, places)
        free_gathered(self.models, objective.needs)
        return places, parts

    def rewarded(
        self, places: Sequence[Portion], parts: Sequence[Experience], rollout: Rollout, scores: Scores
    ) -> list[Experience]:
        """Return the micro-batches `parts`, at `places` of the batch, with the advantages of their responses."""
        rewards = scores.reward.view(-1, rollout.group_size)
        advantages = over_ranks(self.objective.advantage, rewards).flatten().to(parts[0].weights.device)
        return [
            replace(part, advantages=advantages[rollout.rows(*place)])
            for place, part in zip(places, parts, strict=True)
        ]

    def second_view(self, prepared: Prepared, rollout: Rollout) -> tuple[Tensor, PromptBatch | None]:
        """Return the evidence tokens [B P] bool, and the second view of the prompts; None where no term reads one."""
        objective, prompts = self.objective, prepared.prompts
        evidence = place(objective.evidence, prompts, self.responding.seed)
        if objective.view is None:
            return evidence, None
        settings = self.models.policy.processor.patches
        drawn = hash_seed(self.responding.seed, rollout.policy_version or 0)
        return evidence, objective.view(replace(prompts, evidence=evidence), settings, drawn)


def begun(reward: Callable[[Rollout], Scores], rollout: Rollout) -> Callable[[], Scores]:
    """Return a function that waits for the scores of a rollout.

    A reward with a method `begin` computes them meanwhile in other processes; any other computes them when the function
    is called.
    """
    begin = getattr(reward, "begin", None)
    return partial(reward, rollout) if begin is None else begin(rollout)


def over_ranks(advantage: Callable[[Tensor], Tensor], rewards: Tensor) -> Tensor:
    """Return the advantages [B G] of this rank's rewards [B G], computed from the rewards of all ranks.

    advantage: function of the rewards of all ranks. Every rank must call it.
    """
    everyone = gather(rewards)
    if len(everyone) == 1:
        return advantage(rewards)
    first = sum(map(len, everyone[: torch.distributed.get_rank()]))
    whole = torch.cat([each.to(rewards.device) for each in everyone])
    return advantage(whole)[first : first + len(rewards)]


def counts_over_ranks(mask: Tensor) -> Counts:
    """Return the numbers of responses and of tokens that are trained on, over all ranks; every rank must call it.

    mask [N C]: this rank's trained tokens.
    """
    local = counts(mask)
    total = torch.tensor([local.sequences, local.tokens], dtype=torch.float64)
    return Counts(*sum_over_ranks(total, mask.device).tolist())
