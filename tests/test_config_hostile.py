"""Settings that would train something else than they say are refused in one line; those next to them are not."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException

from ral.config import check as config
from ral.config import cli
from ral.config.build import instantiate
from ral.config.resuming import changed
from ral.errors import UserError
from ral.models.patches import misfit

CONSTANT = "algo.aggregate._target_=ral.ops.aggregate.constant_length"
ONES = "algo.advantage._target_=ral.ops.advantages.ones"


@pytest.fixture(autouse=True)
def outside_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """No run has started, whatever other tests of this process have left behind."""
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)


def checked(*overrides: str) -> None:
    """Check the configuration that train.py would get."""
    with initialize_config_dir(str(cli.CONF), version_base=cli.VERSION_BASE):
        cfg = compose("train", overrides)
    config.check(cfg)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["hardware.strategy=ddpp"], "hardware.strategy=ddpp is not supported: write auto or ddp, or hardware=fsdp"),
        (["hardware.strategy=deepspeed"], "hardware.strategy=deepspeed is not supported: write auto or ddp, or"),
        (["checkpoint.best=eval/acuracy"], "checkpoint.best=eval/acuracy is no metric of an evaluation, so that no"),
        (["checkpoint.best=train/reward"], "checkpoint.best=train/reward is no metric of an evaluation, so that no"),
        (["algo.train_split=validation"], "algo.train_split=validation is not for training: write train or sft"),
        (["algo.train_split=nosuch"], "algo.train_split=nosuch is not for training: write train or sft"),
        (["algo=sft", "algo.group_size=4"], "algo.group_size=4, but algo.given=ral.rollout.given.Targets gives 1 to"),
        (["~reward.parts.accuracy", "~reward.parts.format"], "reward.parts is empty, so that every reward is 0: write"),
        (["reward.parts.format.function.thinking=false"], "reward.parts.format.function.thinking=False differs from"),
        (["+dataset.media.factor=14"], "dataset.media.factor=14 would not count: it follows from the model's patches"),
        (["+dataset.source.split=test"], "dataset.source.split=test would not count: the split is algo.train_split's"),
        (["+optim.schedule.max_steps=5"], "optim.schedule.max_steps=5 would not count: it is max_steps; leave it out"),
        (
            [CONSTANT],
            "algo.aggregate: ral.ops.aggregate.constant_length is called with mask, total and the keywords of",
        ),
        (["algo.aggregate._target_=ral.ops.objectives.kl"], "algo.aggregate: ral.ops.objectives.kl is called with mas"),
        (
            ["~algo.advantage.epsilon", "algo.advantage._target_=ral.ops.aggregate.token_mean"],
            "algo.advantage: ral.ops.aggregate.token_mean is called with rewards and the keywords of algo.advantage:",
        ),
    ],
)
def test_what_would_not_do_what_it_says_is_refused(overrides: list[str], said: str) -> None:
    with pytest.raises(UserError) as caught:
        checked("algo=grpo", *overrides)
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)


def test_a_node_without_partial_is_told_to_have_it() -> None:
    with pytest.raises(UserError, match=r"set algo\.token\.log_probs=<value>, or algo\.token\._partial_=true where"):
        checked("algo=grpo", "~algo.token._partial_")


@pytest.mark.parametrize(
    "overrides",
    [
        ["algo=grpo", "hardware.strategy=ddp", "hardware.devices=2"],
        ["algo=ral", "hardware=fsdp"],
        ["algo=grpo", "checkpoint.best=eval/accuracy_multiple_choice"],
        ["algo=grpo", "checkpoint.best=null"],
        ["algo=sft"],
        ["algo=reward_model"],
        ["algo=ral_zero"],
        ["algo=grpo", "algo.thinking=false"],
        ["algo=grpo", CONSTANT, "+algo.aggregate.length=32"],
        ["algo=grpo", ONES, "~algo.advantage.epsilon"],
        ["algo=grpo", "reward.parts.format.weight=-0.1"],
    ],
)
def test_the_settings_next_to_them_pass(overrides: list[str]) -> None:
    checked(*overrides)


def test_a_penalty_on_right_answers_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    checked("algo=grpo", "reward.parts.accuracy.weight=-1")
    assert capsys.readouterr().err.startswith("warning: reward.parts.accuracy.weight=-1 is below 0, so that right ans")
    checked("algo=sft", "reward.parts.accuracy.weight=-1")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (
            {"_target_": "ral.algorithms.bonuses.LengthBonus", "shortest": 9, "longest": 8},
            "algo.temporal.length: short",
        ),
        ({"_target_": "ral.ops.attention.AttentionSpec", "layers": []}, "attention_policy.layers is empty: name at"),
    ],
)
def test_what_a_node_refuses_is_said_in_its_own_words(node: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        instantiate(node)
    assert str(caught.value).startswith(said)


def test_what_a_node_fails_at_otherwise_stays_a_failure() -> None:
    with pytest.raises(InstantiationException):
        instantiate({"_target_": "builtins.open", "file": "/nowhere/at/all"})


@pytest.mark.parametrize("std", [(0.0, 1.0, 1.0), (math.nan, 1.0, 1.0), (-1.0, 1.0, 1.0)])
def test_pixels_are_not_divided_by_nothing(std: tuple[float, ...]) -> None:
    settings = SimpleNamespace(tile=True, mean=(0.5, 0.5, 0.5), std=std)
    assert str(misfit(settings, None)).startswith("image_std is [")  # type: ignore[arg-type]
    assert misfit(SimpleNamespace(tile=True, mean=(0.5, 0.5, 0.5), std=(0.2, 1, 1.0)), None) is None  # type: ignore[arg-type]


def test_a_family_from_outside_is_named_without_a_plus() -> None:
    checked("algo=grpo", "model.family=mine.FAMILY")


def test_a_run_from_before_there_was_a_family_goes_on() -> None:
    assert changed({"model": {"pretrained": "m"}}, {"model": {"pretrained": "m", "family": None}}, {}) == {}
