"""What varies in a sweep, in the names of its folders; how noisy the best of a search is."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import load_script
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from ral.config.search import Trial, told, trials
from ral.config.sweeps import link_offline, name_runs
from ral.config.titles import run_title
from ral.config.varied import subdir, varied_keys


@pytest.mark.parametrize(
    ("typed", "searched", "keys"),
    [
        (["algo=grpo,ral", "seed=0,1", "max_steps=3"], {}, []),
        (["algo=ral", "algo.attention.coef=0.5,1", "model=tiny,qwen2vl"], {}, ["algo.attention.coef", "model"]),
        (["model.pretrained=a/b,c", "max_steps=range(1,4)"], {}, ["max_steps"]),
        (["experiment=tune", "algo.learning_rate=interval(1e-5, 1e-4)"], {"algo.attention.coef": "choice(1, 2)"}, None),
    ],
)
def test_keys_with_several_values_vary(typed: list[str], searched: dict[str, str], keys: list[str] | None) -> None:
    expected = ["algo.attention.coef", "algo.learning_rate"] if keys is None else keys
    assert varied_keys(typed, searched) == expected


def test_titles_of_a_sweep_say_what_varies_and_no_constants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = ["algo=ral", "algo.attention.coef=0.5", "max_steps=4", "eval.prompts=64", "seed=1"]
    asked = ["algo=ral", "algo.attention.coef=0.5,1", "max_steps=4", "eval.prompts=64", "seed=0,1"]
    sweep = {"hydra": {"overrides": {"task": asked}, "sweeper": {"params": {"max_steps": "choice(4)"}}}}
    for mode, said in (("RUN", "max_steps=4 eval.prompts=64 "), ("MULTIRUN", "max_steps=4 ")):
        hydra = {"mode": mode, "overrides": {"task": typed}, "sweep": {"dir": str(tmp_path)}}
        monkeypatch.setattr(HydraConfig.instance(), "cfg", OmegaConf.create({"hydra": hydra}))
        monkeypatch.setattr(HydraConfig, "get", lambda: HydraConfig.instance().cfg.hydra)
        monkeypatch.setattr("ral.config.titles.RunMode", SimpleNamespace(MULTIRUN="MULTIRUN"))
        OmegaConf.save(OmegaConf.create(sweep), tmp_path / "multirun.yaml")
        title = run_title(OmegaConf.create({"name": "ral", "seed": 1}))
        assert title == f"ral attention.coef=0.5 {said}seed=1", mode


def test_a_sweep_has_the_wandb_folders_of_all_its_runs(tmp_path: Path) -> None:
    """Again after more runs; a run without W&B, and one that was moved away, are left out."""
    for n in range(2):
        (tmp_path / f"{n}-ral" / "wandb" / f"offline-run-2026_1-id{n}").mkdir(parents=True)
    (tmp_path / "0-ral/wandb/latest-run").symlink_to("offline-run-2026_1-id0")
    (tmp_path / "2-ral").mkdir()
    assert link_offline(tmp_path) == 2
    (tmp_path / "2-ral/wandb/run-2026_2-id2").mkdir(parents=True)
    assert link_offline(tmp_path) == 3
    assert sorted(path.name for path in (tmp_path / "wandb").iterdir()) == [
        "offline-run-2026_1-id0",
        "offline-run-2026_1-id1",
        "run-2026_2-id2",
    ]
    assert all(path.resolve().parent.name == "wandb" and path.is_dir() for path in (tmp_path / "wandb").iterdir())
    assert link_offline(tmp_path / "2-ral") == 0 and not (tmp_path / "2-ral/wandb/wandb").exists()
    assert {path.parent.parent.name for path in load_script("sync").offline_runs(tmp_path)} == {"0-ral", "1-ral"}


def test_a_folder_says_the_values() -> None:
    pattern = subdir(["algo.attention.coef", "model"], {"model", "algo"})
    config = {
        "name": "ral",
        "seed": 3,
        "algo": {"attention": {"coef": 0.5}},
        "hydra": {"job": {"num": 7}, "runtime": {"choices": {"model": "tiny"}}},
        "folder": pattern.replace("hydra:runtime", "hydra.runtime"),
    }
    assert OmegaConf.create(config).folder == "7-ral-attention.coef=0.5-model=tiny-seed3"
    assert subdir([], set()) == "${hydra.job.num}-${name}-seed${seed}"


def hydra_of(task: list[str], own: list[str]) -> object:
    hydra = {"overrides": {"task": task, "hydra": own}, "sweeper": {}, "runtime": {"choices": {}}}
    return OmegaConf.create({"seed": 0, "hydra": hydra})


def test_a_name_that_was_typed_stays() -> None:
    assert HydraConfig.instance().cfg is None
    named, plain = hydra_of(["max_steps=1,2"], ["hydra.sweep.subdir=x"]), hydra_of(["max_steps=1,2"], [])
    name_runs(named)  # type: ignore[arg-type]
    name_runs(plain)  # type: ignore[arg-type]
    assert OmegaConf.to_container(named)["hydra"]["overrides"]["hydra"] == ["hydra.sweep.subdir=x"]  # type: ignore
    (added,) = OmegaConf.to_container(plain)["hydra"]["overrides"]["hydra"]  # type: ignore[call-overload,index]
    assert added == "hydra.sweep.subdir='${hydra.job.num}-${name}-max_steps=${max_steps}-seed${seed}'"


def test_the_best_of_a_search_comes_with_its_noise(tmp_path: Path) -> None:
    for name, value in (("0-a", 0.5), ("1-b", 0.6), ("2-c", 0.1)):
        (tmp_path / name).mkdir()
        lines = [
            {"step": 1, "eval/accuracy": 0.9},
            {"step": 2, "eval/accuracy": value, "eval/prompts": 100.0},
            {"step": 3},
        ]
        (tmp_path / name / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = trials(tmp_path, "eval/accuracy")
    assert [t.value for t in found] == [0.5, 0.6, 0.1] and found[1].error == pytest.approx(math.sqrt(0.24 / 100))
    best, noise, _ = told(found, "eval/accuracy", maximize=True)
    assert best == "best: 1-b: eval/accuracy 60.0%, standard error 4.9 points"
    assert "100 questions lie 1 of 2 other runs" in noise
    assert told(found, "eval/accuracy", maximize=False)[0].startswith("best: 2-c")
    (unknown,) = told([Trial("a", 3.0, 0), Trial("b", 2.0, 0)], "eval/tokens", maximize=True)
    assert "not measured" in unknown and told(found[:1], "x", maximize=True) == []
