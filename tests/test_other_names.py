"""Settings under names that other programs give them are answered by what to write here; so is a hub out of reach."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from conftest import CONF
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ral.config.other_names import NAMES, SAME, known_here, undashed
from ral.config.signature import walk
from ral.files import hub
from ral.types import UserError


@pytest.fixture(scope="module")
def known() -> list[str]:
    """Groups and keys of the default run."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        raw = OmegaConf.to_container(compose("train"), resolve=False)
    return [path.name for path in CONF.iterdir() if path.is_dir()] + [key for key, _ in walk(raw)]


def test_all_that_is_offered_exists_and_no_name_stands_twice(known: list[str]) -> None:
    missing = [own for own in SAME if own not in known and not own.startswith("hydra.")]
    assert missing == []
    assert len(NAMES) == sum(len(others.split()) for others in SAME.values()) > 100
    groups_and_keys = {key for key in known if "." not in key}
    assert [name for name in NAMES if name in groups_and_keys and NAMES[name] != name] == []


@pytest.mark.parametrize(
    ("key", "value", "offered"),
    [
        ("algorithm", "ral", "algo=ral"),
        ("algorithm", "RAL-zero", "algo=ral_zero"),
        ("models", "tiny", "model=tiny"),
        ("data", "jsonl", "dataset=jsonl"),
        ("report_to", "wandb", "logger=<"),
        ("lr", "1e-4", "algo.learning_rate=1e-4"),
        ("epochs", "3", "max_steps=<value>"),
        ("bf16", "true", "hardware.precision=<value>"),
        ("model.path", "/x", "model.pretrained=/x"),
        ("trainer.lr", "1e-4", "algo.learning_rate=1e-4"),
        ("output_dir", "out", "hydra.run.dir=out"),
        ("save_dir", "", "hydra.run.dir=<folder>"),
        ("zzz", "1", None),
        ("eval.limit", "1", None),
    ],
)
def test_names_of_elsewhere(known: list[str], key: str, value: str, offered: str | None) -> None:
    found = known_here(key, value, known, CONF)
    assert found == offered or (offered is not None and found is not None and found.startswith(offered))


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("per_device_train_batch_size", "algo.prompts_per_step=<prompts of a step>: TRL counts answers on one device"),
        ("use_vllm", "rollout=vllm"),
        ("warmup_ratio", "algo.warmup=<steps>"),
        ("training.warmup_ratio", "algo.warmup=<steps>"),
        ("model.attn_implementation", "nothing in its place"),
        ("actor_rollout_ref.rollout.n", "algo.group_size=7"),
        ("warmup_steps", "algo.warmup=7"),
    ],
)
def test_what_is_counted_or_chosen_otherwise(known: list[str], key: str, said: str) -> None:
    found = known_here(key, "7", known, CONF)
    assert found is not None and found.startswith(said)
    assert known_here(key, "7", ["output", "limit"], CONF) is None
    named = [word.partition("=")[0] for word in found.split() if "=" in word and word[0].islower()]
    assert all(name in known for name in named)


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ("--learning_rate 1e-6", "algo.learning_rate=1e-6"),
        ("--learning-rate=1e-6 --seed 3", "algo.learning_rate=1e-6 seed=3"),
        ("--bf16 --output_dir out", "hardware.precision=<value> hydra.run.dir=out"),
        ("--num_train_epochs 1 max_steps=3", "max_steps=<value>"),
        ("--output_dir max_steps=3", "hydra.run.dir=<value>"),
        ("--nothing 3 -m lr=2", ""),
    ],
)
def test_arguments_with_dashes(arguments: str, settings: str) -> None:
    assert " ".join(undashed(arguments.split())) == settings


def test_a_folder_of_results_is_named_as_the_program_does() -> None:
    assert known_here("output_dir", "out", ["output", "checkpoint"], CONF) == "output=out"


def test_a_misspelt_name_of_elsewhere(known: list[str]) -> None:
    assert known_here("algorithmm", "grpo", known, CONF) is None
    assert known_here("algorithmm", "grpo", known, CONF, exact=False) == "algo=grpo"


# ---------------------------------------------------------------------------------------------------------- the hub


def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every connection fail as without a network."""

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", fail)


def test_without_network_a_folder_is_asked_for_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refused(monkeypatch)
    with pytest.raises(
        UserError, match=r"^write model\.teacher=/my/folder, .*owner/name is not on this machine, .*not kn"
    ):
        hub.check_reachable("owner/name", "model.teacher", {"HF_HOME": str(tmp_path)})
    with pytest.raises(UserError, match="HF_HUB_OFFLINE=1 forbids to fetch it"):
        hub.check_reachable("owner/name", "model.pretrained", {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"})


def test_what_is_cached_or_may_come_through_a_proxy_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refused(monkeypatch)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    (tmp_path / "hub" / "models--owner--name" / "snapshots" / "abc").mkdir(parents=True)
    (tmp_path / "hub" / "models--owner--name" / "snapshots" / "abc" / "config.json").touch()
    hub.check_reachable("owner/name", "model.pretrained", {"HF_HOME": str(tmp_path)})
    hub.check_reachable("owner/other", "model.pretrained", {"https_proxy": "http://proxy:1"})


def test_a_slow_network_is_no_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object, **__: object) -> None:
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", slow)
    assert hub.unreachable({}) is None
