"""Keys and `_target_` names of an earlier version are told as what they are today, in the configuration at hand."""

from __future__ import annotations

import sys

import pytest

from ral.config import cli
from ral.config.former import TARGETS
from ral.config.moved_targets import named, where_now
from ral.config.signature import bind, locate
from ral.errors import UserError

OLD = {
    "ral.lit.temporal.Temporal": "ral.algorithms.t_grpo.Temporal",
    "ral.rewards.temporal.OrderBonus": "ral.algorithms.bonuses.OrderBonus",
    "ral.models.shard.shard_layers": "ral.models.sharding.shard_layers",
    "ral.lit.diagnostics.Diagnostics": "ral.learner.diagnostics.Diagnostics",
    "ral.config.Sweeps": "ral.config.sweeps.Sweeps",
    "ral.sweeps.Sweeps": "ral.config.sweeps.Sweeps",
    "ral.benchmarks.choice.judge": "ral.evaluation.benchmarks.choice.judge",
    "ral.benchmarks.items.accuracy": "ral.evaluation.benchmarks.items.accuracy",
    "ral.evaluation.task.PolicyTask": "ral.evaluation.policy_task.PolicyTask",
    "ral.lit.reward_model.RewardModule": "ral.algorithms.reward_model.RewardModelTask",
}
"""Dotted names of earlier versions, and today's; of several objects of one name that in a module of the old name."""


@pytest.mark.parametrize("old", OLD)
def test_a_target_that_moved_is_told_where_it_is(old: str) -> None:
    with pytest.raises(UserError, match=rf"^x\._target_: ral.* has no .*; it has moved: write .*{OLD[old]}") as caught:
        bind({"_target_": old}, "x")
    assert "\n" not in str(caught.value) and callable(locate(OLD[old], "x"))


def test_every_name_of_the_table_is_there_today() -> None:
    assert all(callable(locate(new, old)) for old, new in TARGETS.items())


@pytest.mark.parametrize("path", ["ral.ops.objectives.tokn", "mine.Temporal", "ral.lit._hidden", "ral", "ral."])
def test_what_never_was_has_not_moved(path: str) -> None:
    assert where_now(path) == ""


def test_a_misspelt_name_is_still_corrected() -> None:
    with pytest.raises(UserError, match=r"has no 'tokn'; did you mean token\?"):
        bind({"_target_": "ral.ops.objectives.tokn"}, "x")


def test_objects_are_found_by_their_name_alone() -> None:
    assert list(named("warmup_cosine")) == ["ral.ops.schedule.warmup_cosine"]
    assert list(named("no_such_thing")) == [] == list(named(""))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["algo=grpo", "algo.sampler.noise.sigma=0.5"],
            "algo.sampler.noise.sigma has moved to algo.sampling.noise.sigma: algo=grpo has no sampling.noise; "
            "sampling.noise is in algo=ral_explore",
        ),
        (
            ["algo=ral_explore", "algo.sampler.noise.sigma=0.5"],
            "algo.sampler.noise.sigma has moved: write algo.sampling",
        ),
        (["algo=grpo", "algo.sampler.group_size=4"], "algo.sampler.group_size has moved: write algo.group_size "),
        pytest.param(
            ["algo=grpo", "algo.temporal.sampler.group_size=4"],
            "algo.temporal.sampler.group_size has moved to algo.tem",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["algo=sft", "algo.sampler.noise.sigma=1"],
            "algo.sampler.noise.sigma has moved to algo.sampling.noise.sigma: ",
            marks=pytest.mark.slow,
        ),
        (
            ["algo=grpo", "algo.sampler.sharpness=1"],
            "algo.sampler.sharpness has moved to algo.sampling.sharpness: this",
        ),
        (
            ["reward=rules", "reward.parts.judge.function.retries=1"],
            "reward.parts.judge.function.retries has moved to reward.parts.judge.function.requests.retries: "
            "reward=rules has no parts.judge; parts.judge is in reward=judge",
        ),
        (["algo=ral", "+algo.temporal={sampler: {group_size: 3}}"], "algo.temporal.sampler has moved to algo.temporal"),
        (["algo=ral", "+algo.module=1"], "algo.module has moved: write algo.task "),
    ],
)
def test_advice_on_an_old_key_is_right_for_the_configuration_at_hand(
    overrides: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: object,
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", f"hydra.run.dir={tmp_path}", *overrides])
    with pytest.raises(SystemExit):
        cli.run(lambda cfg: None, "train")
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: {said}")
