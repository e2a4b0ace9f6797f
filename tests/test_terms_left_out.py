"""Settings of terms that the objective does not name."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ral.config.check import plain
from ral.config.cli import CONF
from ral.config.without_effect import terms_left_out


def told(overrides: Sequence[str], typed: Sequence[str] | None = None) -> list[str]:
    """Return what is said of a run of train.py with overrides, of which `typed` (None: all) were typed."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", list(overrides))
    return list(terms_left_out(plain(cfg), OmegaConf.to_container(cfg, resolve=False), typed or overrides))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["algo=dapo", "algo.kl.coef=0.1"],
            "algo.kl.coef=0.1 is without effect: algo.objective=[token] has no kl; write 'algo.objective=[token,kl]'",
        ),
        (
            ["algo=grpo", "algo.objective=[token]", "algo.kl.coef=0.1", "algo.kl.estimator=k2"],
            "algo.kl.coef=0.1 and algo.kl.estimator=k2 are without effect: algo.objective=[token] has no kl; write "
            "'algo.objective=[token,kl]'",
        ),
        (
            ["algo=grpo", "algo.entropy.coef=0.05"],
            "algo.entropy.coef=0.05 is without effect: algo.objective=[token,kl] has no entropy; write "
            "'algo.objective=[token,kl,entropy]'",
        ),
        (
            ["algo=papo", "algo.objective=[token]", "algo.perception.coef=1", "algo.view=null"],
            "algo.perception.coef=1 is without effect: algo.objective=[token] has no perception; write "
            "'algo.objective=[token,perception]'",
        ),
        (
            ["algo=grpo", "+algo.mine={_target_:ral.ops.objectives.nll,_partial_:true}"],
            "algo.mine={_target_:ral.ops.objectives.nll,_partial_:true} is without effect: algo.objective=[token,kl] "
            "has no mine; write 'algo.objective=[token,kl,mine]'",
        ),
    ],
)
def test_a_typed_setting_of_a_term_that_is_not_summed_is_refused(overrides: list[str], said: str) -> None:
    assert told(overrides) == [said]
    wanted = said.rpartition("write ")[2].strip("'")
    assert told([*overrides, wanted]) == []


@pytest.mark.parametrize(
    "overrides",
    [
        ["algo=grpo", "algo.kl.coef=0.1"],
        ["algo=dapo", "algo.objective=[token,kl]", "algo.kl.coef=0.1"],
        ["algo=dapo", "algo.kl.coef=0"],  # what is asked for is what happens
        ["algo=dapo", "algo.kl=null"],
        ["algo=dapo", "algo.kl.coef=0.1", "algo.token.coef=${algo.kl.coef}"],
        ["algo=grpo", "algo.advantage.epsilon=0.1", "algo.view={_target_:ral.algorithms.views.evidence_alone}"],
        ["algo=dr_grpo", "algo.aggregate.length=100", "algo.attention_policy.layers=[0]"],
        ["algo=dapo", "algo.redraw.rounds=2", "algo.shaping.penalty=0.1"],
    ],
)
def test_settings_that_are_read_or_ask_for_nothing_pass(overrides: list[str]) -> None:
    assert told(overrides) == []


def test_settings_of_a_yaml_are_not_refused() -> None:
    assert told(["algo=dapo", "algo.kl.coef=0.1"], ["algo=dapo"]) == []
