"""What cannot name an option of a group is answered by the group's options, for every group of every program."""

from __future__ import annotations

import pytest

from ral.config.deleted import of_a_deletion
from ral.config.groups import no_such_option, own_groups, refuse_no_options
from ral.errors import UserError
from ral.files.repository import CONF


def refused(typed: str, program: str = "train") -> str:
    with pytest.raises(UserError) as caught:
        refuse_no_options([typed], CONF, program)
    return str(caught.value)


@pytest.mark.parametrize("program", ["train", "evaluate", "explore", "knockout", "check"])
@pytest.mark.parametrize("value", ["null", "", "''", "{a:1}", "NULL", "[null]", "3", "false", "[]"])
def test_every_group_names_its_options(program: str, value: str) -> None:
    for group in own_groups(CONF, program):
        said = refused(f"{group}={value}", program)
        assert said.startswith(f"{group}={value}: conf/{group} has no ")
        options = [path.stem for path in (CONF / group).glob("*.yaml")]
        assert all(option in said for option in options) and f"; leave {group} out for " in said


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("machine=null", "known: a100_80, cpu, h100, h200, rtx4090; leave machine out for none"),
        ("+experiment=null", "paper/t_grpo; leave experiment out for none"),
        ("experiment=null,sft", "experiment=null,sft: conf/experiment has no 'null'; known: "),
        ("logger=[csv, null]", "has no 'null'; known: csv, default, "),
        ("reward@reward2=null", "reward@reward2=null: conf/reward has no 'null'; known: judge, "),
        ("hydra/launcher=null", "hydra/launcher=null: the name of an option is missing; leave hydra/launcher out for"),
        ("benchmark=null", "train.py has no group benchmark, its groups are algo, "),
    ],
)
def test_a_value_that_names_no_option(typed: str, words: str) -> None:
    assert words in refused(typed)


@pytest.mark.parametrize(
    "typed",
    [
        *("logger=csv", "logger=[csv,tensorboard]", "~experiment=null", "~logger", "model.pretrained=null"),
        *("experiment=paper/grpo", "algo=grpo,ral", "lora={rank:4}", "hydra/sweeper=optuna", "seed=1", "name="),
    ],
)
def test_other_settings_pass(typed: str) -> None:
    refuse_no_options([typed], CONF, "train")


CSV = "leave ~logger out for default, or write logger=<one of csv, "
SET = "leave ~eval.every out for its default, or write eval"


@pytest.mark.parametrize(
    ("typed", "message", "words"),
    [
        ("~logger", "logger is not set: write logger=<value>", CSV),
        ("~logger=null", "logger is not set: write logger=<value>", "trackio>; logger=jsonl writes to the"),
        ("~optim", "optim is not set: write optim=<value>", "leave ~optim out for adamw, or write optim=<one of "),
        ("~model", "algo.x: Interpolation key 'model.rate' not found", ": algo.x asks for model.rate; leave ~model"),
        ("~eval", "eval is not set: write eval=<value>", "without eval: leave ~eval out for its default"),
        ("~eval.every", "eval.every is not set: write eval.every=<value>", SET),
        ("~seed", "seed is not set: write seed=<value>", "leave ~seed out for its default, or write seed=<value>"),
    ],
)
def test_a_deletion_of_what_a_run_needs(typed: str, message: str, words: str) -> None:
    line = of_a_deletion(message, ["seed=1", typed], CONF, "train")
    assert line is not None
    assert line.startswith(f"{typed.partition('=')[0]} leaves the configuration without ")
    assert words in line and ("out for its default" not in line or line.endswith(("default", "=<value>")))


def test_other_failures_are_not_blamed_on_a_deletion() -> None:
    for typed, message in [
        ("~eval", "evaluate is not set: write evaluate=<value>"),
        ("~logger", "optim is not set: write optim=<value>"),
        ("eval=null", "eval is not set: write eval=<value>"),
        ("~eval", "eval.every must be at least 0"),
    ]:
        assert of_a_deletion(message, [typed], CONF, "train") is None


def test_a_deletion_of_an_option_that_is_not_chosen() -> None:
    assert no_such_option("logger=csv", deleted=True).endswith("so it cannot be removed: leave ~logger=csv out")
    assert no_such_option("loger", deleted=False).endswith("add it with +loger=<option>")
