"""Every numeric key of conf/ has a range, and what lies outside is refused in a line that says what to type."""

from __future__ import annotations

import inspect
import math
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from ral.config import check as config
from ral.config import cli
from ral.config.number_table import ANY, MOST, RANGES, range_of
from ral.config.numbers import leaves, wrong_number, wrong_numbers
from ral.config.signature import is_target, locate, walk
from ral.errors import UserError

GROUPS = ("algo", "model", "dataset", "hardware", "rollout", "reward", "logger", "optim", "experiment")
UNSET = ["dataset.path=d", "model.pretrained=m", "model.teacher=t"]
OWN = {"judge": ["reward.parts.judge.function.model=m"], "learned": ["reward.checkpoint=c"]}
"""What an option leaves to the user."""


@pytest.fixture(autouse=True)
def outside_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """No run has started, whatever other tests of this process have left behind."""
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)


def compositions() -> Iterator[tuple[str, list[str]]]:
    """Every option of every group once, beside the defaults of the others: (configuration, overrides)."""
    for group in GROUPS:
        for path in sorted((cli.CONF / group).glob("*.yaml")):
            yield "train", [f"{group}={path.stem}", *UNSET, *OWN.get(path.stem, [])]
    for path in sorted((cli.CONF / "benchmark").glob("*.yaml")):
        yield "evaluate", [f"benchmark={path.stem}"]
    yield "check", []


@pytest.fixture(scope="module")
def trees() -> list[Mapping[str, Any]]:
    """The configurations, resolved."""
    with initialize_config_dir(str(cli.CONF), version_base=cli.VERSION_BASE):
        return [config.plain(compose(name, overrides)) for name, overrides in compositions()]


@pytest.fixture(scope="module")
def numbers(trees: list[Mapping[str, Any]]) -> dict[str, float]:
    """A value of each numeric key of any of them."""
    found = {key: value for tree in trees for key, value in leaves(tree)}
    return {k: v for k, v in found.items() if isinstance(v, int | float) and not isinstance(v, bool)}


def free(key: str) -> bool:
    """Whether any number is right, for a stated reason."""
    return any(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), key) for pattern in ANY)


def test_every_numeric_key_states_its_range(numbers: dict[str, float]) -> None:
    assert len(numbers) > 120
    missing = [key for key in numbers if not free(key) and range_of(key) is None]
    assert missing == [], "add them to RANGES of ral/config/number_table.py, or to ANY with a reason"


def test_shipped_values_lie_in_their_ranges(trees: list[Mapping[str, Any]]) -> None:
    assert [line for tree in trees for line in wrong_numbers(tree)] == []
    assert [pattern for pattern, found in RANGES.items() if not found.holds(found.such_as)] == []


def test_keywords_that_yaml_leaves_out_state_their_ranges_too(trees: list[Mapping[str, Any]]) -> None:
    """A number that `+key=value` can set is a key like any other."""
    missing, seen = set(), set()
    for key, node in (found for tree in trees for found in walk(tree) if is_target(found[1])):
        path = node["_target_"]
        if path in seen or not path.startswith("ral."):
            continue
        seen.add(path)
        target = locate(path, key)
        made = inspect.isclass(target) and not is_dataclass(target)
        hints = typing.get_type_hints(target.__init__ if made else target)
        for name, parameter in inspect.signature(target).parameters.items():
            hint = hints.get(name)
            union = typing.get_origin(hint) in (typing.Union, types.UnionType)
            numeric = any(kind in (int, float) for kind in (hint, *(typing.get_args(hint) if union else ())))
            by_the_code = parameter.default is parameter.empty and name not in node
            if numeric and range_of(f"{key}.{name}") is None and not by_the_code:
                missing.add(f"{key}.{name}")
    assert len(seen) > 30
    assert missing == set()


def outside(key: str) -> Iterator[Any]:
    """Values that no key of this range may have."""
    found = range_of(key)
    assert found is not None
    yield from ("much", True, math.nan, -math.inf, found.least - 1, float(found.least - 1), found.most * 2 + 1)
    yield from [found.least] * (found.ends[0] == "(") + [found.most] * (found.ends[1] == ")")
    yield from [0.5 + found.least] * found.whole + [math.inf] * (not found.endless)


def test_every_numeric_key_refuses_what_is_none_of_its_numbers(numbers: dict[str, float]) -> None:
    """Text, truth values, NaN, infinity, too small, too large, fractions where integers are due."""
    for key in (key for key in numbers if not free(key)):
        for value in outside(key):
            line = wrong_number(key, value)
            assert line is not None, f"{key}={value} is accepted"
            assert line.startswith(f"{key}={value!r}")
            assert ": write " in line or "; write " in line
            assert "\n" not in line


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("algo.kl.coef", -0.04, "algo.kl.coef=-0.04 is too small: write 0 to 1000, such as algo.kl.coef=1"),
        (
            "algo.token.clip_low",
            1.5,
            "algo.token.clip_low=1.5 is too large: write 0 to 1, such as algo.token.clip_low=",
        ),
        (
            "algo.learning_rate",
            1e38,
            "algo.learning_rate=1e+38 is too large: write 0 to 1, such as algo.learning_rate=",
        ),
        (
            "max_steps",
            2**40,
            f"max_steps={2**40} is too large: write 1 or more, such as max_steps=100 (at most {MOST})",
        ),
        ("max_steps", 2.5, "max_steps=2.5 has the wrong type: int expected; write 1 or more, such as max_steps=100"),
        ("algo.kl.coef", "much", "algo.kl.coef='much' has the wrong type: float expected; write 0 to 1000, such as"),
        ("optim.optimizer.betas[1]", 1.0, "optim.optimizer.betas[1]=1.0 is too large: write 0 to less than 1, such as"),
        (
            "optim.optimizer.eps",
            0,
            "optim.optimizer.eps=0 is too small: write 1e-30 to 1, such as optim.optimizer.eps=",
        ),
        ("diagnostics.max_log_prob_gap", -1.0, "diagnostics.max_log_prob_gap=-1.0 is too small: write more than 0 to"),
    ],
)
def test_the_line_names_key_value_range_and_what_to_type(key: str, value: Any, line: str) -> None:
    said = wrong_number(key, value)
    assert said is not None and said.startswith(line)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optim.max_grad_norm", math.inf),
        ("dataset.limit", None),
        ("algo.attention_policy.heads", "mean"),
        ("algo.token.clip_low", 1.0),
        ("lora.rank", 0),
        ("reward.parts.length.weight", -1.0),
        ("algo.mine.threshold", -1e9),
    ],
)
def test_the_values_next_to_them_pass(key: str, value: Any) -> None:
    assert wrong_number(key, value) is None


def test_numbers_of_code_from_outside_are_its_own() -> None:
    term = {"_target_": "mine.entropy", "coef": -0.01, "inner": {"coef": -1}}
    assert list(wrong_numbers({"algo": {"entropy": term}})) == []
    inside = {"_target_": "ral.ops.objectives.kl", "coef": -1}
    assert len(list(wrong_numbers({"algo": {"entropy": {**term, "inner": inside}}}))) == 1


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.learning_rates.rl=5", r"^model\.learning_rates\.rl=5 is too large: write 0 to 1"),
        ("algo.temperature=-1", r"^algo\.temperature=-1 is too small: write 0\.001 to 100"),
        ("dataset.max_new_tokens=0", r"^dataset\.max_new_tokens=0 is too small: write 1 or more"),
        ("seed=-1", r"^seed=-1 is too small: write 0 to 4398046511103"),
    ],
)
def test_the_key_that_was_written_is_named_and_not_one_that_takes_its_value(override: str, said: str) -> None:
    with initialize_config_dir(str(cli.CONF), version_base=cli.VERSION_BASE):
        cfg = compose("train", ["algo=grpo", override])
    with pytest.raises(UserError, match=said):
        config.check(cfg)


@pytest.mark.parametrize("script", ["ral/config/evaluation.py", "scripts/check_dataset.py", "ral/config/check.py"])
def test_each_entry_point_checks_numbers(script: str) -> None:
    assert "    check_numbers(cfg, tree)\n" in (Path(cli.CONF).parent / script).read_text()
