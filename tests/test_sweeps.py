"""Multiruns: every launcher, runs that fail beside runs that do not, and the search for the best coefficient."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from conftest import finish

LAUNCHERS = [
    "basic",
    pytest.param("joblib", marks=pytest.mark.slow),
    pytest.param("submitit_local", marks=pytest.mark.slow),
    pytest.param("ray", marks=pytest.mark.slow),
]


def multirun(command: list[str], folder: Path, *overrides: str) -> list[str]:
    return [*command[:2], "-m", *command[2:], "start_check=false", *overrides, f"hydra.sweep.dir={folder}"]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_failing_run_neither_ends_nor_hides_the_others(launcher: str, command: list[str], tmp_path: Path) -> None:
    """The first of two runs is refused (RAL with one update); the second runs, and the last line names the first."""
    sweep = tmp_path / "sweep"
    refused = ["algo.updates_per_rollout=1,2", f"hydra/launcher={launcher}"]
    done = finish(multirun(command, sweep, *refused), tmp_path)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last == "error: 1 of 2 runs failed: 0-ral-seed0; the folder of each has its error.txt"
    assert "algo.updates_per_rollout=1" in (sweep / "0-ral-seed0" / "error.txt").read_text()
    assert not (sweep / "0-ral-seed0" / "metrics.jsonl").exists()
    assert (sweep / "1-ral-seed0" / "report.html").is_file()
    assert not (sweep / "1-ral-seed0" / "error.txt").exists()


@pytest.mark.slow
def test_the_same_sweep_again_goes_on_and_forgets_earlier_errors(command: list[str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    assert finish(multirun(command, sweep, "algo.updates_per_rollout=1,2"), tmp_path).returncode == 1
    ended = (sweep / "1-ral-seed0" / "metrics.jsonl").read_bytes()
    again = finish(multirun(command, sweep, "algo.updates_per_rollout=3,2", "resume=auto"), tmp_path)
    assert again.returncode == 0, again.stderr
    assert not list(sweep.glob("*/error.txt")) and (sweep / "0-ral-seed0" / "report.html").is_file()
    assert (sweep / "1-ral-seed0" / "metrics.jsonl").read_bytes() == ended


@pytest.mark.parametrize(
    ("name", "key", "grid"),
    [
        ("lambda", "attention", {0.5, 1, 5}),
        ("gamma", "attention_distillation", {0.05, 0.5, 1}),
    ],
)
@pytest.mark.slow
def test_optuna_tries_the_papers_grid(
    name: str, key: str, grid: set[float], command: list[str], tmp_path: Path
) -> None:
    sweep = tmp_path / "sweep"
    model = command[2].removeprefix("model.pretrained=")
    search = [f"experiment=tune_{name}", f"model.teacher={model}", "checkpoint.best=eval/reward"]
    done = finish(multirun(command, sweep, *search), tmp_path)
    assert done.returncode == 0, done.stderr
    found = yaml.safe_load((sweep / "optimization_results.yaml").read_text())
    runs = {float(config["algo"][key]["coef"]): folder for config, folder in configs(sweep)}
    assert runs.keys() == grid and found["best_params"].keys() == {f"algo.{key}.coef"}
    rewards = {coef: last(folder, "eval/reward") for coef, folder in runs.items()}
    best = rewards[float(found["best_params"][f"algo.{key}.coef"])]
    assert best == pytest.approx(found["best_value"]) and best == max(rewards.values())


@pytest.mark.slow
def test_optuna_goes_on_after_a_trial_that_failed(command: list[str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    broken = ["algo.attention.coef=1", "algo.attention.against=choice(old,nowhere)", "hydra.sweeper.n_trials=2"]
    done = finish(multirun(command, sweep, "experiment=tune_lambda", *broken), tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: 1 of 2 runs failed: ")
    found = yaml.safe_load((sweep / "optimization_results.yaml").read_text())
    assert found["best_params"] == {"algo.attention.against": "old"}


def configs(sweep: Path) -> list[tuple[dict, Path]]:
    return [(yaml.safe_load(file.read_text()), file.parent) for file in sweep.glob("*/config.yaml")]


def last(folder: Path, key: str) -> float:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line[key] for line in lines if key in line][-1]
