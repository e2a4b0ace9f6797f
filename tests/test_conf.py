"""The files of conf/: what the options of a group share stands once, and none of it is an option itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import CONF
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ral.config.explain import of_other_choices
from ral.config.listing import options as options_of

GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name != "hydra")
MOST = 2
"""Yamls of a group in which a line may stand."""
SYNTAX = re.compile(r"#|# @package .*|_partial_: true|[\w.]+:( \|2?-)?|defaults: .*|- .*")
"""Lines that say nothing of a setting: openings of groups, Hydra's own words, and the names of what is shared."""


def settings(path: Path) -> set[str]:
    """Return the lines of a yaml that say something."""
    lines = {line.strip() for line in path.read_text().splitlines()}
    return {line for line in lines if line and not SYNTAX.fullmatch(line)}


def repeated(group: str) -> dict[str, int]:
    """Return the lines that stand in more than MOST yamls of a group, with their number."""
    counts = Counter(line for path in (CONF / group).rglob("*.yaml") for line in settings(path))
    return {line: count for line, count in counts.items() if count > MOST}


@pytest.mark.parametrize("group", [*GROUPS, "hydra"])
def test_no_line_stands_in_more_than_two_yamls_of_a_group(group: str) -> None:
    assert len(GROUPS) > 7 and any(settings(path) for path in (CONF / group).rglob("*.yaml"))
    assert repeated(group) == {}


def test_a_line_in_three_yamls_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("test_conf.CONF", tmp_path)
    (tmp_path / "help").mkdir()
    for name in ("one", "two", "three"):
        (tmp_path / "help" / f"{name}.yaml").write_text(f"header: |-\n  {name}\n\n  Options:\nfooter: |2-\n  it\n")
    assert repeated("help") == {"it": 3}


def options() -> Iterator[str]:
    """Yield group/option of everything that can be chosen."""
    for group in GROUPS:
        yield from (f"{group}/{path.stem}" for path in sorted((CONF / group).glob("*.yaml")))


def shared_by(option: str) -> list[str]:
    """Return the yamls that an option names in its defaults list, and those that they name."""
    group = option.rpartition("/")[0]
    found = []
    for entry in OmegaConf.load(CONF / f"{option}.yaml").get("defaults", []):
        if isinstance(entry, str) and entry != "_self_":
            found += [f"{group}/{entry.split('@')[0]}"]
    return found + [deeper for near in found for deeper in shared_by(near)]


def test_every_shared_yaml_is_used() -> None:
    used = {shared for option in options() for shared in shared_by(option)}
    there = {path.relative_to(CONF).with_suffix("").as_posix() for path in CONF.glob("*/shared/*.yaml")}
    assert len(there) > 10
    assert there - used == set()


def test_every_algorithm_has_every_node_that_only_some_have() -> None:
    """Check that the nodes are there, null where an algorithm does without, so that no root asks for them by name."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        algorithms = {path.stem: compose(f"algo/{path.stem}").algo for path in (CONF / "algo").glob("*.yaml")}
    nodes = (
        "sampling",
        "given",
        "task",
        "passes",
        "redraw",
        "shaping",
        "temporal",
        "reward",
        "attention_policy",
        "preferences",
        "teacher",
    )
    assert [(name, node) for name, algo in algorithms.items() for node in nodes if node not in algo] == []
    assert {name for name, algo in algorithms.items() if algo.temporal is not None} == {"t_grpo"}
    assert {name for name, algo in algorithms.items() if algo.redraw is not None} == {"dapo"}
    assert {name for name, algo in algorithms.items() if algo.task is not None} == {"reward_model"}


def test_help_lists_options_of_every_folder_and_not_what_they_share(tmp_path: Path) -> None:
    (tmp_path / "algo").mkdir()
    (tmp_path / "algo" / "mine.yaml").write_text("defaults: [grpo]")
    found = options_of([CONF, tmp_path])
    assert {"grpo", "mine", "ral"} <= set(found["algo"]) and "hydra" not in found
    assert found["optim"] == ["adamw", "adamw_8bit"]
    shared = {path.stem for path in CONF.glob("*/shared/*.yaml")}
    assert [(group, name) for group, names in found.items() for name in names if name in shared] == []


@pytest.mark.parametrize(
    ("key", "choices", "said"),
    [
        ("algo.temporal.share", {"algo": "ral"}, "algo=ral has no temporal; temporal is in algo=t_grpo"),
        ("algo.attention.coef", {"algo": "grpo"}, "has no attention term; attention is in algo=ral, algo=ral_zero"),
        (
            "algo.sampling.noise.sigma",
            {"algo": "ral"},
            "no sampling.noise; sampling.noise is in algo=ral_explore, algo=ral_look",
        ),
        (
            "dataset.source.grid",
            {"dataset": "jsonl"},
            "no source.grid; source.grid is in dataset=visual_path, dataset=visual_search",
        ),
        (
            "dataset.validation_path",
            {"dataset": "hf"},
            "is in dataset=jsonl, dataset=multihop_spatial, dataset=video_r1, dataset=video_r1_cot, dataset=viscot",
        ),
        ("hardware.strategy.offload", {"hardware": "cpu"}, "strategy.offload is in hardware=fsdp"),
        ("reward.parts.judge.weight", {"reward": "rules"}, "parts.judge is in reward=judge"),
    ],
)
def test_a_key_of_another_option_is_found_in_what_it_shares_too(key: str, choices: dict[str, str], said: str) -> None:
    message = of_other_choices(key, CONF, choices)
    assert message is not None and message.endswith(said)


def test_a_term_is_said_to_be_where_the_objective_names_it() -> None:
    message = str(of_other_choices("algo.kl.coef", CONF, {"algo": "sft"}))
    assert message.startswith("unknown key algo.kl.coef: algo=sft has no kl term; kl is in ")
    named = message.rpartition("kl is in ")[2].split(", ")
    assert {"algo=grpo", "algo=ral"} < set(named) and not {"algo=dapo", "algo=vppo", "algo=cispo"} & set(named)
    assert "algo=dapo" in str(of_other_choices("algo.entropy.coef", CONF, {"algo": "sft"}))  # no objective names it


@pytest.mark.parametrize("key", ["algo.token.clip_high", "algo.teacher", "algo.grup_size", "algo.temporal"])
def test_a_key_that_the_option_has_or_none_has_is_not_said_to_be_elsewhere(key: str) -> None:
    assert of_other_choices(key, CONF, {"algo": "ral"}) is None
