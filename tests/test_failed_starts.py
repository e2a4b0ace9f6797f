"""Starts that fail leave no folder, and a model in the hub's cache is read from there without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import call

STARTS = {
    "a key that is not known": ("algo.lr=1", "algo.learning_rate"),
    "a model that is not there": ("model.pretrained=/gone", "/gone: no such folder"),
    "data that are not there": ("dataset=jsonl dataset.path=/gone.json", "/gone.json"),
    "a checkpoint that is not there": ("resume=/gone/step_000001", "/gone/step_000001"),
    "prompts that are not dealt out evenly": ("algo.prompts_per_step=3 hardware.devices=2", "dealt out evenly"),
    "a reward without its part": ("~reward.parts.accuracy", "accuracy"),
    "an artifact that is none": ("logger=default logger.wandb.artifacts=[modle]", "'modle'"),
}
"""Kind: what is typed, and what the message has to name. The first ones fail early, the last when all is built."""


@pytest.mark.parametrize("kind", STARTS)
def test_a_start_that_fails_leaves_no_folder(kind: str, small: list[str], tmp_path: Path) -> None:
    typed, named = STARTS[kind]
    folder = tmp_path / "outputs" / "run"
    settings = [text for text in small if "dataset=" not in typed or not text.startswith("dataset.")]
    done = call("train.py", "algo=grpo", *settings, *typed.split(), f"hydra.run.dir={folder}", folder=tmp_path)
    assert done.returncode == 1 and named in done.stderr, done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("error: ")]) == 1, done.stderr
    assert not (tmp_path / "outputs").exists() and list(tmp_path.iterdir()) == []


def test_a_later_process_that_nothing_started_leaves_no_folder(
    small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    done = call("train.py", "algo=grpo", *small, f"hydra.run.dir={tmp_path / 'outputs' / 'run'}", folder=tmp_path)
    assert done.returncode == 1 and done.stderr.startswith("error: LOCAL_RANK=1 says"), done.stderr
    assert list(tmp_path.iterdir()) == []


READS = """
import sys, time
from ral.files.pretrained import check_folder
began = time.monotonic()
check_folder("owner/name")
asked = time.monotonic() - began
from ral.models.mllm import MLLM
began = time.monotonic()
MLLM.load("owner/name")
print(asked, time.monotonic() - began)
"""


@pytest.mark.slow
def test_a_model_in_the_cache_is_read_at_once(model_folder: Callable[..., Path], tmp_path: Path) -> None:
    """Nobody listens where the hub would be."""
    cache = tmp_path / "hub" / "models--owner--name"
    shutil.copytree(model_folder(), cache / "snapshots" / "abc")
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("abc")
    own = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    own = {name: value for name, value in own.items() if not name.lower().endswith("_proxy")}
    environment = own | {"HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", READS], env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    asked, read = map(float, done.stdout.split())
    assert asked < 1 and read < 20, (asked, read)
