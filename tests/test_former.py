"""A run of version 0.1 goes on: its configuration in today's words, and the state that its checkpoints hold."""

from __future__ import annotations

from typing import Any

import pytest

from ral.config.former import of_today
from ral.config.resuming import changed
from ral.learner.signs import WINDOW, Signs
from ral.learner.state import LAYOUT, Best, Evaluated, Progress, RunState
from ral.types import UserError

SAMPLER = {"_target_": "ral.rollout.sampler.PolicySampler", "group_size": 8, "temperature": 0.9, "max_new_tokens": 32}
SAMPLING = {"_target_": "ral.rollout.engine.Sampling", "temperature": 0.9, "max_new_tokens": 32}
ENGINE = {"_target_": "ral.rollout.native.NativeEngine", "_partial_": True, "gather_weights": None}
NULL = dict.fromkeys(("given", "sampling", "passes", "reward", "temporal", "task", "attention_policy"))


def test_a_sampled_algorithm_and_its_temporal_node() -> None:
    old: dict[str, Any] = {
        "hardware": {"gather_weights": None},
        "algo": {
            "group_size": 8,
            "sampler": {**SAMPLER, "noise": {"_target_": "ral.rollout.explore.Noise", "sigma": 1.0}},
            "temporal": {"_target_": "ral.lit.temporal.Temporal", "sampler": SAMPLER, "share": 0.5},
        },
    }
    noise = {"_target_": "ral.rollout.noise.Noise", "sigma": 1.0}
    temporal = {"_target_": "ral.algorithms.t_grpo.Temporal", "share": 0.5, "sampling": SAMPLING, "group_size": 8}
    assert of_today(old) == {
        "hardware": {"gather_weights": None},
        "algo": {**NULL, "group_size": 8, "sampling": {**SAMPLING, "noise": noise}, "temporal": temporal},
        "rollout": {"engine": ENGINE},
    }


def test_a_reward_model_has_given_pairs_and_a_task() -> None:
    old = {
        "algo": {
            "module": {"_target_": "ral.lit.reward_model.RewardModule", "_partial_": True},
            "passes": {"_target_": "ral.lit.reward_model.ScorePass"},
            "sampler": {"_target_": "ral.rollout.sampler.PairSampler"},
        }
    }
    new = of_today(old)
    assert new["algo"] == {
        **NULL,
        "task": {"_target_": "ral.algorithms.reward_model.RewardModelTask"},
        "passes": {"_target_": "ral.algorithms.reward_model.ScorePass"},
        "given": {"_target_": "ral.rollout.given.Pairs", "_partial_": True},
    }
    assert of_today(new) == new
    more = {**new, "algo": {**new["algo"], "given": {"_target_": "ral.rollout.given.Targets", "_partial_": True}}}
    assert changed(of_today(old), more, more).keys() == {"algo.given._target_"}


def test_a_judge_has_its_requests_in_a_group() -> None:
    """By its target: the part may have any name."""
    old = {"_target_": "ral.rewards.judge.Judge", "model": "m", "timeout_s": 9.0, "retries": 1, "backoff_s": 2.0}
    config = {"algo": {"sampler": SAMPLER}, "reward": {"parts": {"mine": {"function": old, "weight": 1.0}}}}
    function = of_today(config)["reward"]["parts"]["mine"]["function"]
    requests = {"_target_": "ral.rewards.judge.Requests", "timeout_s": 9.0, "retries": 1, "backoff_s": 2.0}
    assert function == {"_target_": "ral.rewards.judge.Judge", "model": "m", "requests": requests}


def test_the_state_of_an_old_checkpoint() -> None:
    signs = Signs(told={"no_signal"})
    signs.history.add({"train/reward": 0.5})
    old = {
        "step": 7,
        "data": {"counts": {"train": [56, 1]}, "listed": [["train", {"index": 3}]]},
        "best": {"step": 5, "metric": "eval/accuracy", "value": 0.4},
        "evaluated": 5,
        "remembered": {"Watch": signs.state(), "Skip": {"skipped": 2}},
    }
    state = RunState.of(old, "eval/accuracy")
    assert state.progress == Progress(7, 7, 2) and state.evaluated == Evaluated(5) and state.signs == signs
    assert state.best == Best("eval/accuracy", 5, 0.4) and state.drawn.counts == {"train": (56, 1)}
    assert RunState.of(state.facts(), "eval/accuracy") == state
    assert RunState.of(old, "eval/reward").best == Best("eval/reward")


def test_the_first_checkpoints_hold_the_step_alone() -> None:
    state = RunState.of({"step": 3}, None)
    assert state.progress == Progress(3, 3) and state.evaluated.step == 3 and not state.drawn.listed
    assert state.signs.history["reward"].recent(1) == [] and WINDOW > 1


def test_a_checkpoint_of_a_version_to_come_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"^resume: the checkpoint has layout 3, and this version reads 2: go on with"):
        RunState.of({**RunState().facts(), "layout": LAYOUT + 1}, None)
