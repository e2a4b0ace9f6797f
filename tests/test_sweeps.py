"""Multiruns: every launcher, runs that fail beside runs that do not, and the search for the best coefficient."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from conftest import finish
from hydra.types import RunMode

from ral.config import sweeps
from ral.files import run_folder

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
    first, second = (f"{n}-ral-algo.updates_per_rollout={n + 1}-seed0" for n in (0, 1))
    refused = ["algo.updates_per_rollout=1,2", f"hydra/launcher={launcher}"]
    done = finish(multirun(command, sweep, *refused), tmp_path)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last == f"error: 1 of 2 runs failed: {first}; the folder of each has its error.txt"
    assert "algo.updates_per_rollout=1" in (sweep / first / "error.txt").read_text()
    assert not (sweep / first / "metrics.jsonl").exists()
    assert (sweep / second / "report.html").is_file()
    assert not (sweep / second / "error.txt").exists()


@pytest.mark.slow
def test_the_same_sweep_again_goes_on_and_forgets_earlier_errors(command: list[str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    assert finish(multirun(command, sweep, "algo.updates_per_rollout=1,2"), tmp_path).returncode == 1
    ended = (sweep / "1-ral-algo.updates_per_rollout=2-seed0" / "metrics.jsonl").read_bytes()
    again = finish(multirun(command, sweep, "algo.updates_per_rollout=3,2", "resume=auto"), tmp_path)
    assert again.returncode == 0, again.stderr
    assert (sweep / "0-ral-algo.updates_per_rollout=3-seed0" / "report.html").is_file()
    assert (sweep / "1-ral-algo.updates_per_rollout=2-seed0" / "metrics.jsonl").read_bytes() == ended


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
def test_optuna_goes_on_after_a_trial_that_failed_also_the_last(command: list[str], tmp_path: Path) -> None:
    """All but one of three trials fail, so the last one does in two of three orders, and the first in two of three."""
    sweep, store = tmp_path / "sweep", tmp_path / "tune.db"
    some = "algo.attention.coef=choice(1,-1,-2)"  # those below 0 are refused
    search = ["experiment=tune_lambda", some, f"hydra.sweeper.storage=sqlite:///{store}"]
    done = finish(multirun(command, sweep, *search), tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: 2 of 3 runs failed: ")
    found = yaml.safe_load((sweep / "optimization_results.yaml").read_text())
    assert found["best_params"] == {"algo.attention.coef": 1} and store.stat().st_size > 10_000


@pytest.mark.slow
def test_a_run_of_two_processes_goes_where_its_launcher_puts_it(command: list[str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    two = ["hardware=ddp", "hardware.accelerator=cpu", "hardware.precision=32-true", "hardware.num_workers=0"]
    done = finish(multirun(command, sweep, *two, "seed=0,1", "hydra/launcher=joblib"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in sweep.iterdir()} == {"0-ral-seed0", "1-ral-seed1", "multirun.yaml"}
    for seed in (0, 1):
        assert (sweep / f"{seed}-ral-seed{seed}" / "report.html").is_file()


@pytest.mark.slow
def test_a_search_cannot_be_resumed_by_folder(command: list[str], tmp_path: Path) -> None:
    done = finish(multirun(command, tmp_path / "s", "experiment=tune_lambda", "resume=auto"), tmp_path)
    assert done.returncode == 1 and "resume=auto: a search draws other values" in done.stderr


# --- what is noted in which folder, without launchers


@pytest.fixture
def noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """error.txt of a run that this process is given by a launcher."""
    for name in run_folder.RANK_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    run = tmp_path / "deep" / "0"
    (run / ".hydra").mkdir(parents=True)
    (run / ".hydra" / "overrides.yaml").touch()
    hydra = SimpleNamespace(mode=RunMode.MULTIRUN, runtime=SimpleNamespace(output_dir=str(run)), sweeper={})
    monkeypatch.setattr(sweeps.HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(sweeps.HydraConfig, "get", lambda: hydra)
    monkeypatch.setattr(sweeps.Sweeps, "begun", (tmp_path, time.time()))
    return run / sweeps.ERROR


def test_a_run_that_is_killed_counts_as_failed(noted: Path) -> None:
    sweeps.note(sweeps.CUT_OFF)
    assert sweeps.failed_runs() == "1 of 1 runs failed: deep/0; the folder of each has its error.txt"
    assert noted.read_text() == "it did not end: killed, or out of memory\n"
    sweeps.note(None)
    assert not noted.exists() and sweeps.failed_runs() is None


def test_of_several_ranks_the_first_error_counts(noted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweeps.note(sweeps.CUT_OFF)
    monkeypatch.setenv("LOCAL_RANK", "1")
    sweeps.note(sweeps.CUT_OFF)
    sweeps.note("the cause")
    sweeps.note(None)
    monkeypatch.delenv("LOCAL_RANK")
    sweeps.note("connection closed by peer")
    sweeps.note(None)
    assert noted.read_text() == "the cause\n"


def test_runs_of_an_earlier_sweep_in_the_folder_do_not_count(noted: Path) -> None:
    sweeps.note("an error")
    begun, since = sweeps.Sweeps.begun
    sweeps.Sweeps.begun = begun, since + 10
    assert sweeps.failed_runs() is None and noted.exists()


def test_a_failed_run_is_worse_than_any(noted: Path) -> None:
    assert sweeps.worst() == -math.inf
    sweeps.HydraConfig.get().sweeper["direction"] = "minimize"
    assert sweeps.worst() == math.inf


def configs(sweep: Path) -> list[tuple[dict, Path]]:
    return [(yaml.safe_load(file.read_text()), file.parent) for file in sweep.glob("*/config.yaml")]


def last(folder: Path, key: str) -> float:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line[key] for line in lines if key in line][-1]
