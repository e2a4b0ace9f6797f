"""The W&B run: groups of sweeps, resumed runs, tables of completions, no network; read back by wandb's own reader."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ENVIRONMENT, ROOT, finish, load_script

from ral.config.titles import title
from ral.lit import artifacts, loggers
from ral.types import Media, Pixels, UserError

KEY = "0123456789abcdef" * 2 + "secretly"


def offline_runs(folder: Path) -> list[Path]:
    return sorted((folder / "wandb").glob("offline-run-*"))


def read_back(run: Path) -> list[dict[str, Any]]:
    """The records of an offline run."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(run)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def header(run: Path) -> dict[str, Any]:
    return next(record["run"] for record in read_back(run) if record["type"] == "run")


@pytest.mark.slow
def test_runs_of_a_sweep_are_a_group_and_a_resumed_run_is_the_same_one(command: list[str], tmp_path: Path) -> None:
    online = [c for c in command if c != "logger=jsonl"]
    sweep = tmp_path / "my_sweep"
    base = [*online, "start_check=false"]
    done = finish([*base[:2], "-m", *base[2:], "seed=0,1", f"hydra.sweep.dir={sweep}"], tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = (header(*offline_runs(sweep / f"{n}-ral-seed{n}")) for n in (0, 1))
    assert first["run_group"] == second["run_group"] == "my_sweep" and first["run_id"] != second["run_id"]

    again = [*base, "seed=0", "max_steps=2", f"hydra.run.dir={sweep / '0-ral-seed0'}", "resume=auto"]
    assert finish(again, tmp_path).returncode == 0
    both = [header(run) for run in offline_runs(sweep / "0-ral-seed0")]
    assert [run["run_id"] for run in both] == [first["run_id"]] * 2

    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "sync.py"), str(sweep), "--dry-run"], capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == f"runs: 3 offline below {sweep}"


@pytest.mark.slow
def test_without_network_the_run_stays_offline_with_a_warning(command: list[str], tmp_path: Path) -> None:
    """A key is set, so the run would be online; nobody listens at the server's address."""
    server = {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_INIT_TIMEOUT": "2"}
    folder = tmp_path / "run"
    own = [c for c in command if c != "logger=jsonl"]
    done = subprocess.run(
        [*own, f"hydra.run.dir={folder}"], env=ENVIRONMENT | server, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("W&B cannot be reached") == 1
    assert len(offline_runs(folder)) == 1 and (folder / "report.html").is_file()
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 10 and [path for path in files if KEY.encode() in path.read_bytes()] == []


def record(**changes: Any) -> dict[str, Any]:
    look = {"grid": [2, 1, 2], "weights": [0.1, 0.1, 0.1, 0.7], "seconds_per_slot": 1.0}
    return {
        "uid": "a",
        "data_type": "video",
        "media": ["clip.mp4"],
        "attention": look,
        "evidence": [{"box": [0, 0, 1, 1]}],
    } | changes


def test_a_clip_is_shown_where_it_is_looked_at_most() -> None:
    frames = torch.stack([torch.full((28, 56, 3), value, dtype=torch.uint8) for value in (0, 60, 120, 240)])
    asked: list[Media] = []

    def read(media: Media) -> Pixels:
        asked.append(media)
        return Pixels("video", frames, 0.5)

    shown = np.asarray(loggers.looks(record(evidence=[]), read).image).astype(float)
    assert asked == [Media("video", Path("clip.mp4"))]
    frames = torch.stack([frames[n] for n in (3, 3, 3, 3)])  # the bright last frame is the one that is shown
    assert np.array_equal(shown, np.asarray(loggers.looks(record(evidence=[]), read).image))
    frames = torch.stack([frames[0] // 4] * 4)
    assert not np.array_equal(shown, np.asarray(loggers.looks(record(evidence=[]), read).image))
    left, right = shown[:, : shown.shape[1] // 2], shown[:, shown.shape[1] // 2 :]
    assert left.mean() > right.mean() + 20  # attention darkens a light picture


@pytest.mark.parametrize("changes", [{"attention": None}, {"data_type": "text", "attention": None, "media": []}])
def test_no_attention_no_picture(changes: dict[str, Any]) -> None:
    assert loggers.looks(record(**changes), lambda media: pytest.fail("nothing to read")) is None


def test_a_file_that_is_gone_leaves_the_cell_empty() -> None:
    def read(media: Media) -> Pixels:
        raise UserError("gone")

    assert loggers.looks(record(), read) is None


def test_tables_hold_the_first_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    logged: dict[str, Any] = {}
    monkeypatch.setattr(loggers.Wandb, "log_table", lambda self, key, **given: logged.update({"key": key} | given))
    logger = loggers.Wandb(save_dir=str(tmp_path), mode="offline")
    records = [record(uid=str(n), question="?", reward=0.5, attention=None) for n in range(loggers.SHOWN + 3)]
    logger.log_records(records, 7, lambda media: pytest.fail("nothing to read"))
    assert (logged["key"], logged["step"], len(logged["data"])) == ("eval/completions", 7, loggers.SHOWN)
    row = dict(zip(logged["columns"], logged["data"][3], strict=True))
    assert row["step"] == 7 and row["uid"] == "3" and row["question"] == "?" and row["reward"] == 0.5


def test_files_of_tables_stay_beside_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_DATA_DIR", artifacts.OWN_DATA):
        monkeypatch.delenv(name, raising=False)
    for run in ("one", "two"):  # of one sweep, in one process
        loggers.keep_beside(tmp_path / run)
        assert os.environ["WANDB_DATA_DIR"] == str(tmp_path / run / "wandb")
    monkeypatch.setenv("WANDB_DATA_DIR", "/elsewhere")
    loggers.keep_beside(tmp_path)
    assert os.environ["WANDB_DATA_DIR"] == "/elsewhere"


def test_a_run_that_stays_offline_leaves_the_next_one_its_choice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(loggers, "has_key", lambda: True)
    tried: list[str] = []
    monkeypatch.setattr(loggers, "connected", lambda logger: tried.append(logger._wandb_init["id"]))
    made = [loggers.wandb_logger(tmp_path / name, name) for name in ("one", "two")]
    assert len(tried) == 2 and "WANDB_MODE" not in os.environ
    assert [logger._wandb_init["mode"] for logger in made] == ["offline"] * 2


def test_all_runs_are_uploaded_in_one_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """wandb orders the parts of a resumed run where one call has all of them; uploaded ones are left alone."""
    sync = load_script("sync")
    for name in ("b/wandb/offline-run-2-x", "a/wandb/offline-run-1-x", "a/wandb/offline-run-0-y"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "a/wandb/offline-run-0-y/run-y.wandb.synced").touch()
    calls: list[list[str]] = []

    def run(command: list[str]) -> SimpleNamespace:
        calls.append(command)
        for path in command[4:]:
            (Path(path) / "run.wandb.synced").touch()
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(sync.subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["sync.py", str(tmp_path)])
    staged = [tmp_path / name / "wandb/artifacts/staging/tmp1" for name in "ab"]
    for file in staged:
        file.parent.mkdir(parents=True)
        file.touch()
    sync.main()
    assert not any(file.exists() for file in staged)
    runs = [str(tmp_path / name) for name in ("a/wandb/offline-run-1-x", "b/wandb/offline-run-2-x")]
    assert calls == [[sys.executable, "-m", "wandb", "sync", *runs]]


# ------------------------------------------------------------------------------------------- what tells runs apart


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ([], "ral seed=3"),
        (["algo=ral", "seed=3", "algo.attention.coef=2"], "ral attention.coef=2 seed=3"),
        (
            ["model=path_student", "+algo.token.coef=0.5", "max_steps=5"],
            "ral model=path_student token.coef=0.5 max_steps=5 seed=3",
        ),
        (["resume=auto", "overwrite=true", "experiment=ral", "logger=jsonl"], "ral seed=3"),
        (["~algo.kl"], "ral algo.kl= seed=3"),
    ],
)
def test_a_title_says_what_was_typed_and_the_seed(typed: list[str], said: str) -> None:
    assert title("ral", typed, 3) == said


def test_a_long_title_keeps_its_ends() -> None:
    found = title("ral", [f"dataset.path=/{'x' * 300}"], 12)
    assert len(found) <= 128 and found.startswith("ral dataset.path=/x") and found.endswith("… seed=12")
    for length in (118, 119, 121, 300):
        found = title("n" * length, ["algo.kl.coef=1"], 12)
        assert len(found) <= 128 and found.startswith("nnnn") and found.endswith(" seed=12")


def test_the_configuration_tags_and_summaries_are_sent(tmp_path: Path) -> None:
    logger = loggers.wandb_logger(
        tmp_path, "ral seed=0", mode="offline", tags=["ral", "tiny"], job_type="train", notes=None
    )
    logger.log_hyperparams({"seed": 0, "algo": {"attention": {"coef": 2.0}}, "none": None})
    logger.log_metrics({"eval/accuracy": 0.5, "train/reward": 0.1}, step=1)
    logger.log_table("eval/completions", columns=["a"], data=[[1]], step=1)
    logger.log_metrics({"eval/accuracy": 0.25}, step=2)
    logger.alert("step 2", "accuracy fell")
    logger.finalize("success")
    records = read_back(*offline_runs(tmp_path))
    run = next(r["run"] for r in records if r["type"] == "run")
    assert run["display_name"] == "ral seed=0" and run["tags"] == ["ral", "tiny"] and run["job_type"] == "train"
    text = json.dumps(records)
    assert '"algo"' in text and "coef" in text and "accuracy fell" in text
    metrics = {r["metric"]["name"]: r["metric"] for r in records if r["type"] == "metric" and r["metric"].get("name")}
    assert metrics["eval/accuracy"]["summary"].get("max") and metrics["eval/accuracy"]["summary"].get("last")
