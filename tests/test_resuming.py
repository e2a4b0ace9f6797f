"""Going on with a run: which settings it may change, what it remembers, what fits it; and the machine it runs on."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import CONF, train_in
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ral.config.resuming import FREE, changed, check_same_experiment
from ral.errors import UserError
from ral.files.run_folder import RANK_VARIABLES
from ral.learner.checkpoints import CONFIG, read, save
from ral.learner.weights import fits
from ral.machine import check_devices, check_rank, check_slurm, check_torchrun
from ral.starting import check_unresumed, config_of

RAW: dict[str, Any] = {
    "seed": 0,
    "max_steps": 10,
    "name": "a",
    "algo": {"group_size": 8, "learning_rate": "${model.rates.rl}", "objective": ["token", "kl"]},
    "model": {"pretrained": "models/m", "rates": {"rl": 1e-4, "sft": 1e-5}},
    "optim": {"lr": "${algo.learning_rate}"},
    "hardware": {"precision": "32-true", "num_workers": 0, "micro_batch_prompts": 8},
    "eval": {"every": 5, "prompts": 16},
    "logger": {"jsonl": {"_target_": "x"}},
}


def put(tree: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    tree = copy.deepcopy(tree)
    *groups, last = key.split(".")
    place = tree
    for group in groups:
        place = place.setdefault(group, {})
    place[last] = value
    return tree


def resolved(raw: dict[str, Any]) -> dict[str, Any]:
    tree = copy.deepcopy(raw)
    if str(tree["algo"]["learning_rate"]).startswith("$"):
        tree["algo"]["learning_rate"] = tree["model"]["rates"]["rl"]
    tree["optim"]["lr"] = tree["algo"]["learning_rate"]
    return tree


def found(key: str, value: Any) -> dict[str, Any]:
    raw = put(RAW, key, value)
    return changed(resolved(RAW), resolved(raw), raw)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 1), ("algo.group_size", 4), ("algo.objective", ["token"]), ("model.pretrained", "models/n"),
        ("hardware.precision", "bf16-mixed"), ("eval.prompts", 8), ("max_steps", 9), ("algo.new", {"coef": 1}),
        ("model.rates.rl", 1e-3), ("algo.learning_rate", 1e-3), ("algo.group_size", None), ("seed", False),
    ],
)  # fmt: skip
def test_what_changes_the_experiment_is_named_once(key: str, value: Any) -> None:
    assert list(found(key, value)) == [key]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "b"), ("max_steps", 11), ("hardware.num_workers", 2), ("hardware.micro_batch_prompts", 1),
        ("eval.every", 0), ("logger.wandb", {"mode": "offline"}), ("model.pretrained", "./models/../models/m"),
        ("seed", 0.0), ("resume", "auto"), ("resume_changed", ["seed"]), ("guard.watch", False),
    ],
)  # fmt: skip
def test_what_cannot_change_it_passes(key: str, value: Any) -> None:
    assert found(key, value) == {}


@pytest.mark.parametrize(
    ("key", "value", "changes"),
    [
        ("algo.task", None, False), ("algo.preferences", False, False), ("algo.preferences", True, True),
        ("algo.task", "x", True), ("algo.unheard", None, True), ("optim.fused", False, True),
    ],
)  # fmt: skip
def test_a_node_that_an_earlier_version_did_not_write_is_no_change_where_it_is_off(
    key: str, value: Any, changes: bool
) -> None:
    assert list(found(key, value)) == [key] * changes
    raw = put(RAW, key, value)
    assert list(changed(resolved(raw), resolved(RAW), RAW)) == [key] * changes


def test_a_value_that_no_longer_follows_another_is_named() -> None:
    """The rate was set by hand before, and comes from the model's again."""
    old = resolved(put(RAW, "algo.learning_rate", 1e-3))
    assert list(changed(old, resolved(RAW), RAW)) == ["algo.learning_rate"]


def test_the_error_shows_both_values_and_what_to_type() -> None:
    raw = put(put(RAW, "seed", 5), "algo.group_size", 4)
    check = (resolved(RAW), resolved(raw), raw)
    with pytest.raises(UserError) as error:
        check_same_experiment(*check, [], "auto")
    assert "algo.group_size (8 -> 4), seed (0 -> 5)" in str(error.value)
    assert "'resume_changed=[algo.group_size,seed]'" in str(error.value)
    with pytest.raises(UserError, match=r": seed \(0 -> 5\);.*resume_changed=\[algo,seed\]"):
        check_same_experiment(*check, ["algo"], "auto")
    for allowed in (["algo", "seed"], ["algo.group_size", "seed"], "all", ["all"]):
        check_same_experiment(*check, allowed, "auto")
    with pytest.raises(UserError, match=r"resume_changed names 'sed'.*did you mean seed"):
        check_same_experiment(*check, ["sed"], "auto")


def test_names_that_are_no_keys_are_refused_where_nothing_is_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    cfg = OmegaConf.create({"resume": None, "resume_changed": ["seeed"], "seed": 0, "algo": {"group_size": 8}})
    for named in (["seeed"], "seeed", ["all", "algo.foo"]):
        with pytest.raises(UserError, match=r"resume_changed names '\S+', which is no key"):
            check_unresumed(OmegaConf.merge(cfg, {"resume_changed": named}))
    check_unresumed(OmegaConf.merge(cfg, {"resume_changed": []}))
    check_unresumed(OmegaConf.merge(cfg, {"resume_changed": ["algo"], "resume": "auto"}))
    assert capsys.readouterr().err == ""
    check_unresumed(OmegaConf.merge(cfg, {"resume_changed": ["algo"]}))
    assert "resume_changed has no effect" in capsys.readouterr().err


def test_every_free_key_is_one_and_stands_in_the_docs(run_config: dict[str, Any]) -> None:
    text = (Path(__file__).parents[1] / "docs" / "outputs.md").read_text()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        others = [
            OmegaConf.to_container(compose("train", [choice]), resolve=False)
            for choice in ("rollout=vllm", "rollout=vllm_server", "machine=h100")
        ]
    for key in FREE:
        assert any(has(tree, key) for tree in (run_config, *others)), key
        assert f"`{key}`" in text, key


def has(tree: Any, key: str) -> bool:
    """Tell whether a configuration has a dotted key."""
    for name in key.split("."):
        if not isinstance(tree, dict) or name not in tree:
            return False
        tree = tree[name]
    return True


def test_a_run_from_before_corrections_goes_on_and_one_with_another_does_not(run_config: dict[str, Any]) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        new: Any = OmegaConf.to_container(compose("train", ["algo=grpo"]), resolve=False)
    old = {**new, "algo": {**new["algo"], "token": dict(new["algo"]["token"])}}
    del old["algo"]["token"]["correction"], old["algo"]["token"]["correction_cap"]
    assert changed(old, new, new) == {}
    new["algo"]["token"] |= {"correction": "sequence_mask"}
    assert changed(old, new, new) == {"algo.token.correction": ("off", "sequence_mask")}


@pytest.fixture
def run_config() -> dict[str, Any]:
    """The default configuration, unresolved."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        found: Any = OmegaConf.to_container(compose("train"), resolve=False)
    return found


def test_a_resumed_run_says_remembers_and_keeps_what_it_should(
    run: Callable[..., Path], small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["algo=grpo", *small, "eval.every=0", "checkpoint.every=1", "start_check=false"]
    folder = run(*settings, "max_steps=2")
    written = (folder / "config.yaml").read_text()
    with pytest.raises(UserError, match=r"seed \(0 -> 3\)"):
        run(*settings, "max_steps=3", "resume=auto", "seed=3")
    assert (folder / "config.yaml").read_text() == written
    checkpoint = folder / "checkpoints" / "step_000002"
    state = read(checkpoint)
    assert state["skipped"] == 0 and state["signs"]["told"] == []
    state |= {"skipped": 4, "signs": {**state["signs"], "told": ["no_signal"]}}
    save({k: v for k, v in state.items()}, tmp_path / "aside")
    (tmp_path / "aside" / "state.pt").replace(checkpoint / "state.pt")
    (tmp_path / "aside" / "sha256").replace(checkpoint / "sha256")
    capsys.readouterr()
    run(*settings, "max_steps=3", "resume=auto", "seed=3", "resume_changed=[seed]")
    assert "max_steps 2 -> 3: from here on the learning rate follows" in capsys.readouterr().err
    after = read(folder / "checkpoints" / "step_000003")
    assert after["skipped"] == 4 and after["signs"]["told"] == ["no_signal"]
    assert yaml.safe_load((folder / "config.yaml").read_text())["seed"] == 3
    steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert steps == [0, 1, 2, 3]
    weights = (folder / "hf" / "model.safetensors").read_bytes()
    run(*settings, "max_steps=3", "resume=auto", "seed=3", report=True)
    assert "max_steps=3 is reached" in capsys.readouterr().err
    assert (folder / "hf" / "model.safetensors").read_bytes() == weights and (folder / "report.html").is_file()
    shutil.rmtree(folder / "hf")
    run(*settings, "max_steps=1", "resume=auto", "seed=3", "resume_changed=[max_steps]")
    assert "max_steps=1 is reached" in capsys.readouterr().err
    assert (folder / "hf" / "model.safetensors").read_bytes() == weights


def test_a_checkpoint_keeps_its_configuration_and_is_compared_with_it_from_another_folder(
    run: Callable[..., Path], small: list[str], tmp_path: Path
) -> None:
    settings = ["algo=grpo", *small, "eval.every=0", "eval.before=false", "checkpoint.every=1", "start_check=false"]
    folder = run(*settings, "max_steps=1", "seed=7")
    checkpoint = folder / "checkpoints" / "step_000001"
    kept = yaml.safe_load(read(checkpoint)[CONFIG])
    assert kept["seed"] == 7 and kept == yaml.safe_load((folder / "config.yaml").read_text()) == config_of(checkpoint)
    (folder / "config.yaml").write_text((folder / "config.yaml").read_text().replace("seed: 7", "seed: 8"))
    assert (config_of(checkpoint) or {})["seed"] == 7  # its own, whatever stands beside it now
    moved = tmp_path / "elsewhere" / "step_000001"
    shutil.copytree(checkpoint, moved)
    for resumed in (checkpoint, moved):
        with pytest.raises(UserError, match=r"the settings are not those of that run: seed \(7 -> 9\)"):
            train_in(tmp_path / "other", *settings, "max_steps=1", "seed=9", f"resume={resumed}")
    train_in(tmp_path / "other", *settings, "max_steps=1", "seed=7", f"resume={moved}")


def test_a_checkpoint_without_a_configuration_is_compared_with_that_of_its_run(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoints" / "step_000001"
    save({"step": 1}, checkpoint)
    assert config_of(checkpoint) is None
    (tmp_path / "config.yaml").write_text("seed: 3\n")
    assert config_of(checkpoint) == {"seed": 3}
    save({"step": 2, CONFIG: "seed: 4\n"}, tmp_path / "checkpoints" / "step_000002")
    assert config_of(tmp_path / "checkpoints" / "step_000002") == {"seed": 4}
    save({"step": 3, CONFIG: "- a list"}, tmp_path / "checkpoints" / "step_000003")
    with pytest.raises(UserError, match="no configuration of a run"):
        config_of(tmp_path / "checkpoints" / "step_000003")


def test_weights_of_another_model_are_named() -> None:
    mine = {"a": torch.zeros(2, 3), "b": torch.zeros(4)}
    fits(mine, {k: v.clone() for k, v in mine.items()})
    for held, words in (
        ({"a": mine["a"]}, "has no weights for b"),
        ({**mine, "c": mine["b"]}, "has weights that are not trained: c"),
        ({**mine, "a": torch.zeros(3, 2)}, r"a is \(3, 2\) there, \(2, 3\) here"),
    ):
        with pytest.raises(UserError, match=f"of another model.*{words}"):
            fits(mine, held)


# --- the machine


@pytest.mark.parametrize(
    ("asked", "gpus", "words"),
    [
        (("gpu", 1, 1), 0, "sees no GPU here: write hardware=cpu$"),
        (("auto", 2, 1), 0, "write hardware=cpu, or hardware.accelerator=cpu hardware.precision=32-true"),
        (("auto", 1, 4), 0, "write hardware=cpu"),
        (("gpu", 4, 1), 2, "sees 2 GPUs here: write hardware.devices=2"),
        (("auto", 3, 2), 1, "write hardware.devices=1"),
    ],
)
def test_gpus_that_are_not_there(asked: tuple[str, int, int], gpus: int, words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_devices(*asked, gpus)


@pytest.mark.parametrize(
    ("asked", "gpus"), [(("cpu", 8, 1), 0), (("auto", 1, 1), 0), (("gpu", 2, 4), 2), (("cpu", 4, 1), 2)]
)
def test_machines_that_have_what_is_asked_for(asked: tuple[str, int, int], gpus: int) -> None:
    check_devices(*asked, gpus)


SHELL = {"SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}
STEP = {**SHELL, "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4"}


def test_a_slurm_shell_without_srun_is_one_process() -> None:
    for step in ({}, {"SLURM_STEP_ID": "4294967290"}):
        env = {**SHELL, **step}
        check_slurm(env, devices=1, num_nodes=1)
        assert env["SLURM_JOB_NAME"] == "interactive"
    with pytest.raises(UserError, match="without srun: write srun python"):
        check_slurm(dict(SHELL), devices=2, num_nodes=2)


TORCHRUN = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}


@pytest.mark.parametrize("name", RANK_VARIABLES)
def test_a_later_process_of_none_is_refused(name: str) -> None:
    """It would train into a folder that nobody holds, without metrics."""
    check_rank({name: "0"}, 1, 1, RANK_VARIABLES)
    check_rank({name: ""}, 1, 1, RANK_VARIABLES)
    with pytest.raises(UserError, match=rf"^{name}=1 says that this process is a later .* write unset {name} before"):
        check_rank({name: "1"}, 1, 1, RANK_VARIABLES)
    check_rank({name: "1", "WORLD_SIZE": "2"}, 2, 1, RANK_VARIABLES)
    check_rank({**STEP, name: "1"}, 2, 1, RANK_VARIABLES)
    if name in ("NODE_RANK", "GROUP_RANK"):
        check_rank({name: "1"}, 2, 2, RANK_VARIABLES)
    else:
        with pytest.raises(UserError, match=f"{name}=1 says"):
            check_rank({name: "1"}, 2, 1, RANK_VARIABLES)


def test_torchrun_starts_as_many_processes_as_hardware_asks_for() -> None:
    check_torchrun(TORCHRUN, devices=2, num_nodes=1)
    check_torchrun({"LOCAL_RANK": "1", "WORLD_SIZE": "2"}, devices=2, num_nodes=1)  # Lightning's own ranks
    check_torchrun({"RANK": "0", "WORLD_SIZE": "1"}, devices=1, num_nodes=1)
    check_torchrun({**STEP, **TORCHRUN}, devices=2, num_nodes=2)  # srun's numbers count
    for devices, num_nodes in ((1, 1), (4, 1), (1, 2)):
        with pytest.raises(UserError, match=r"torchrun started 2 processes .* write hardware=ddp hardware\.devices=2,"):
            check_torchrun(TORCHRUN, devices, num_nodes)
    two = {**TORCHRUN, "WORLD_SIZE": "4"}
    check_torchrun(two, devices=2, num_nodes=2)
    with pytest.raises(UserError, match=r"hardware\.devices=2 hardware\.num_nodes=2, or"):
        check_torchrun(two, devices=1, num_nodes=1)


def test_srun_starts_as_many_processes_as_hardware_asks_for() -> None:
    env = dict(STEP)
    check_slurm(env, devices=2, num_nodes=2)
    assert env["SLURM_NTASKS_PER_NODE"] == "2" and env["SLURM_JOB_NAME"] == "train"
    with pytest.raises(UserError, match="srun started 4 processes, and hardware asks for 2"):
        check_slurm(dict(STEP), devices=2, num_nodes=1)
    outside: dict[str, str] = {}
    check_slurm(outside, devices=8, num_nodes=2)
    assert outside == {}
