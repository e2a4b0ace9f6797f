"""Artifacts of W&B, offline: what is sent on request, and the copies that W&B stages; read back by its own reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_wandb import offline_runs, read_back

from ral.errors import UserWarned
from ral.lit import artifacts, loggers
from ral.types import UserError


@pytest.fixture
def left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as a run leaves it, with a best checkpoint beside another one."""
    for name in ("WANDB_DATA_DIR", artifacts.OWN_DATA):
        monkeypatch.delenv(name, raising=False)
    files = {
        "report.html": "a report",
        "hf/config.json": "{}",
        "checkpoints/step_000002/state.pt": "best",
        "checkpoints/step_000009/state.pt": "newest",
        "checkpoints/best.json": '{"step": 2, "value": 0.5}',
    }
    for name, text in files.items():
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).write_text(text)
    return tmp_path / "run"


def begun(folder: Path, *names: str) -> loggers.Wandb:
    """A logger whose run has begun, ended by Lightning as after training."""
    logger = loggers.wandb_logger(folder, "a run", mode="offline", artifacts=list(names))
    logger.log_metrics({"eval/accuracy": 0.5}, step=1)
    logger.finalize("success")
    return logger


def test_artifacts_are_taken_from_where_they_lie(left: Path) -> None:
    logger = begun(left, "report", "hf", "best")
    (left / "report.html").write_text("a report that is written after the training")
    logger.send(left)
    sent = [r["artifact"] for r in read_back(*offline_runs(left)) if r["type"] == "artifact"]
    run = (left / "wandb" / "id.txt").read_text().strip()
    assert [(a["name"], a["type"]) for a in sent] == [
        (f"report-{run}", "report"),
        (f"hf-{run}", "model"),
        (f"best-{run}", "checkpoint"),
    ]
    files = [str(left / name) for name in ("report.html", "hf/config.json", "checkpoints/step_000002/state.pt")]
    assert all(name in json.dumps(sent) for name in files) and "step_000009" not in json.dumps(sent)
    assert not [p for p in (left / "wandb").rglob("staging/*")]
    assert not [p for p in (left / "wandb").glob("*/tmp")]


def test_what_is_not_there_or_cannot_be_sent_is_a_warning_and_the_rest_is_sent(
    left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (left / "report.html").unlink()
    (left / "checkpoints" / "best.json").unlink()
    logger = begun(left, "report", "best", "hf")
    with pytest.warns(UserWarned, match="the artifact") as said:
        logger.send(left)
    texts = [str(w.message) for w in said]
    assert [t.endswith(f"the artifact {n} is left out") for t, n in zip(texts, ("report", "best"), strict=True)]
    assert "report.html" in texts[0] and "best.json" in texts[1]
    sent = [r["artifact"]["type"] for r in read_back(*offline_runs(left)) if r["type"] == "artifact"]
    assert sent == ["model"]


def test_without_a_request_none_is_sent_and_the_run_ends_with_training(left: Path) -> None:
    logger = begun(left)
    logger.send(left)
    types = [r["type"] for r in read_back(*offline_runs(left))]
    assert "artifact" not in types and "exit" in types


@pytest.mark.parametrize(("names", "said"), [(["report", "modle"], "no artifact is called 'modle'"), ("hf", "=hf:")])
def test_other_names_are_refused_with_those_there_are(tmp_path: Path, names: Any, said: str) -> None:
    with pytest.raises(UserError, match=rf"{said}.*report, hf, best"):
        loggers.wandb_logger(tmp_path, "x", mode="offline", artifacts=names)
    assert not (tmp_path / "wandb").exists()


def test_staged_copies_stay_while_an_offline_run_needs_them(tmp_path: Path) -> None:
    copy = tmp_path / "artifacts" / "staging" / "tmp1"
    run = tmp_path / "offline-run-1-x"
    for folder in (copy.parent, run):
        folder.mkdir(parents=True)
    copy.touch()
    artifacts.unstage(tmp_path)
    assert copy.exists()
    (run / "run-x.wandb.synced").touch()
    artifacts.unstage(tmp_path)
    assert not (tmp_path / "artifacts").exists() and run.is_dir()


def test_copies_in_a_folder_of_the_users_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "artifacts" / "staging" / "tmp1"
    copy.parent.mkdir(parents=True)
    copy.touch()
    monkeypatch.delenv(artifacts.OWN_DATA, raising=False)
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path))
    artifacts.unstage_own()
    assert copy.exists()
