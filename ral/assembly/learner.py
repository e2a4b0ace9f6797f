"""Construction of the parts of a step from a run's configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from ral.config.build import instantiate, precision_of
from ral.evaluation.policy_task import PolicyTask
from ral.learner.experience import Forward, Passes, PassSize
from ral.learner.guard import Guard
from ral.learner.models import Models
from ral.learner.moved_share import Moved
from ral.learner.objective import Objective
from ral.learner.redraw import Redraw
from ral.learner.step import NoCompanion, Observer, Responding, Step
from ral.learner.task import Task
from ral.learner.update import Schedule, Update
from ral.models.mllm import MLLM
from ral.models.reward import LearnedReward
from ral.ops.signals import Term, needed
from ral.rewards.combine import Reward
from ral.rewards.workers import RewardBeside
from ral.rollout.engine import Engine, Sampling
from ral.types import Rollout, UserError

LOG_PROB_GAPS = {"32-true": 1e-4, "bf16-mixed": 2e-2}
"""{precision: largest mean difference of log-probs between sampler and first update, in nats a token}.

The order of sums in either causes such differences.
"""


def build_objective(cfg: DictConfig) -> Objective:
    """Return the objective: its loss terms, passes, advantage, aggregation, shaping, second view, kind of evidence."""
    algo = cfg.algo
    return Objective(
        build_terms(algo),
        build_passes(algo),
        instantiate(algo.advantage),
        instantiate(algo.aggregate),
        instantiate(algo.shaping),
        view=instantiate(algo.view),
        evidence=str(algo.evidence).lower(),  # type: ignore[arg-type]  # one of PLACES: the configuration is checked
    )


def build_terms(algo: DictConfig) -> dict[str, Term]:
    """Return {name: loss term} for the names in algo.objective. algo: cfg.algo."""
    return {name: instantiate(algo[name]) for name in algo.objective}


def build_passes(algo: DictConfig) -> Passes:
    """Return the passes that compute signals: those of algo.passes, else `Forward`."""
    given: Passes | None = instantiate(algo.passes)
    return given or Forward(algo.temperature, instantiate(algo.attention_policy))


def build_reward(cfg: DictConfig, policy: MLLM) -> Any:
    """Return the reward of cfg.reward. UserError where a learned reward model reads other tokens than the policy.

    With hardware.reward_workers above 0 and sampled responses, a `Reward` computes scores in that many processes, else
    in this one.
    """
    reward = instantiate(cfg.reward)
    for part in getattr(reward, "parts", {}).values():
        if isinstance(part.function, LearnedReward):
            part.function.check(policy)
    count = cfg.hardware.reward_workers if cfg.algo.rollouts else 0
    return RewardBeside(reward, count) if count and isinstance(reward, Reward) else reward


def build_source(algo: DictConfig, objective: Objective, engine: Engine, policy: MLLM) -> Callable[..., Rollout]:
    """Return a function, (prepared, seed=...) -> Rollout, that samples responses or takes those of algo.given.

    UserError where a term needs a record of noise that the sampling does not make.
    """
    given = instantiate(algo.given)
    if given is not None:
        return given(policy.processor)
    sampling = instantiate(algo.sampling)
    check_noise(algo, objective, sampling)
    return partial(engine.generate, count=algo.group_size, sampling=sampling)


RECORDS = {"sampler_rows": "rows", "sampler_noise": "noise"}
"""{signal: value of `record` of the sampling's noise that it needs} (ral.rollout.noise.Noise)."""


def check_noise(algo: DictConfig, objective: Objective, sampling: Sampling) -> None:
    """Raise UserError where a term needs a record of the noise on attention that the sampling does not make.

    The noise has to be set, on the attention of algo.attention_policy, and to record the signal (RECORDS). So terms
    that need different records cannot stand in one objective.
    """
    wanted = ((name, RECORDS[s]) for name, term in objective.terms.items() for s in needed([term]) if s in RECORDS)
    for name, record in wanted:
        if sampling.noise is None:
            raise UserError(
                f"algo.{name} compares with attention under the sampling's noise, and algo.sampling.noise is not set:"
                " write algo.sampling.noise as in conf/algo/ral_explore.yaml"
            )
        if sampling.noise.attention != instantiate(algo.attention_policy):
            raise UserError(
                f"algo.sampling.noise.attention differs from algo.attention_policy, so that algo.{name} would compare"
                " rows of different attention: write algo.sampling.noise.attention=${algo.attention_policy}"
            )
        if sampling.noise.record != record:
            raise UserError(
                f"algo.sampling.noise.record={sampling.noise.record}, and algo.{name} reads the {record}: "
                f"write algo.sampling.noise.record={record}"
            )


def build_task(cfg: DictConfig, objective: Objective, engine: Engine, reward: Any) -> Task:
    """Return the task that the network is trained for: that of algo.task, else `PolicyTask`.

    `PolicyTask` evaluates by greedy responses of `engine`, scored by `reward`.
    """
    given: Task | None = instantiate(cfg.algo.task)
    sampling = Sampling(temperature=1.0, max_new_tokens=cfg.dataset.max_new_tokens, greedy=True)
    passes: Any = objective.passes
    return given or PolicyTask(engine, sampling, reward, passes, cfg.eval.layers == "all")


def build_responding(cfg: DictConfig, objective: Objective, engine: Engine, policy: MLLM) -> Responding:
    """Return the maker of a step's responses, with the companion of algo.temporal and the redrawing of algo.redraw.

    UserError where a term needs a record of noise that the sampling does not make, and for settings of algo.temporal or
    algo.redraw that do not fit.
    """
    source = build_source(cfg.algo, objective, engine, policy)
    companion = instantiate(cfg.algo.temporal) or NoCompanion()
    return Responding(engine, source, companion, cfg.seed, instantiate(cfg.algo.redraw))


def build_step(
    cfg: DictConfig,
    models: Models,
    objective: Objective,
    responding: Responding,
    reward: Any,
    folder: Path,
    observers: Sequence[Observer],
) -> Step:
    """Return the step of a run. reward: used unless algo.reward is set. folder: the run's folder.

    observers: called after the rewards of each step. UserError where algo.redraw is set and a frozen model has a vision
    tower of its own.
    """
    check_redrawn(responding.redraw, models)
    return Step(
        models,
        objective,
        responding,
        instantiate(cfg.algo.reward) or reward,
        build_update(cfg, models, objective, folder),
        observers,
        size=PassSize(cfg.hardware.micro_batch_prompts, cfg.hardware.micro_batch_responses),
        ema_decay=cfg.algo.ema_decay,
    )


def check_redrawn(redraw: Redraw | None, models: Models) -> None:
    """Raise UserError where prompts are redrawn (`redraw` is not None) and a frozen model has its own vision tower.

    Redrawn prompts keep the policy's visual embeddings, but not their pixels.
    """
    others = sorted(set(models.frozen) - models.same_vision)
    if redraw is not None and others:
        raise UserError(
            f"algo.redraw: the {others[0]} has a vision tower of its own, and prompts drawn again keep the policy's "
            "embeddings alone: write algo.redraw=null"
        )


def build_update(cfg: DictConfig, models: Models, objective: Objective, folder: Path) -> Update:
    """Return the maker of updates. folder: the run's; batches of skipped updates go to its subfolder skipped/."""
    rate = partial(instantiate(cfg.optim.schedule), max_steps=cfg.max_steps)
    return Update(
        models,
        objective,
        Schedule(cfg.algo.updates_per_rollout, rate, cfg.optim.max_grad_norm),
        instantiate(cfg.diagnostics, max_log_prob_gap=max_log_prob_gap(cfg)),
        Guard(folder / "skipped", cfg.guard.max_skipped),
        Moved(cfg.seed),
    )


def max_log_prob_gap(cfg: DictConfig) -> float:
    """Return diagnostics.max_log_prob_gap, in nats a token; where it is null, the bound for engine and precision."""
    given, gaps = cfg.diagnostics.max_log_prob_gap, cfg.rollout.get("gaps") or LOG_PROB_GAPS
    return float(gaps[precision_of(cfg.hardware)] if given is None else given)
