"""A start that fails leaves nothing: neither files nor the folders that Hydra made for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ral.files import run_folder

REPOSITORY = Path(__file__).resolve().parents[1]
SECOND_TASK = {"SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "1", "SLURM_PROCID": "1"}


def start(folder: Path, *typed: str, **environment: str) -> str:
    """Start train.py with hydra.run.dir=folder in an empty place; return the last line of stderr."""
    command = [sys.executable, "-P", str(REPOSITORY / "train.py"), f"hydra.run.dir={folder}", *typed]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}
    ended = subprocess.run(command, capture_output=True, text=True, env={**clean, **environment}, timeout=300)
    assert ended.returncode == 1
    return ended.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("typed", "environment", "said"),
    [
        (
            ["resume=true"],
            {},
            "error: resume=true has the wrong type: a folder, auto or null expected; write resume=auto",
        ),
        (["resume=auto", "overwrite=true"], {}, "error: overwrite=true removes the run that resume=auto goes on with"),
        (["hardware=ddp", "hardware.accelerator=cpu", "max_steps=0"], SECOND_TASK, "error: max_steps=0 is too small"),
    ],
)
def test_a_refused_start_leaves_no_folder(
    tmp_path: Path, typed: list[str], environment: dict[str, str], said: str
) -> None:
    assert start(tmp_path / "a" / "b" / "run", *typed, **environment).startswith(said)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_stays(tmp_path: Path) -> None:
    there = tmp_path / "a" / "run"
    there.mkdir(parents=True)
    (tmp_path / "a" / "notes.txt").write_text("mine")
    start(there, "resume=5")
    assert there.is_dir() and list(there.iterdir()) == [] and (tmp_path / "a" / "notes.txt").is_file()


def test_another_rank_removes_no_folder_in_which_something_lies(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "run"
    run_folder.remember(folder)
    folder.mkdir(parents=True)
    (folder / run_folder.LOCK).touch()
    run_folder.forgo(folder)
    assert (folder / run_folder.LOCK).is_file()
    (folder / run_folder.LOCK).unlink()
    run_folder.forgo(folder)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "b").mkdir()
    run_folder.forgo(tmp_path / "b")  # not made here
    assert (tmp_path / "b").is_dir()
