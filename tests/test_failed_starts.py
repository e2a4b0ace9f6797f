"""Starts that fail leave no folder, and a model in the hub's cache is read from there without a network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import call
from PIL import Image

from ral.errors import UserError
from ral.files.first_answer import occupied_once_answered

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


def asked(folder: Path, program: str, *settings: str) -> subprocess.CompletedProcess[str]:
    """One question about a picture that is not below the folder, asked with answers in folder/out."""
    entry = {
        "id": "a",
        "question": "What color?",
        "answer": "red",
        "image": "a.png",
        "evidence": [{"box": [0, 0, 0.5, 0.5]}],
    }
    (folder / "data.json").write_text(json.dumps([entry, entry | {"id": "b"}]))
    group = "benchmark" if program == "evaluate.py" else "dataset"
    own = (f"{group}=jsonl", f"{group}.path={folder}/data.json", f"output={folder}/out", *settings)
    return call(program, *own, *([] if program == "evaluate.py" else ["split=train"]), folder=folder)


@pytest.mark.parametrize(
    ("program", "root", "short", "left"),
    [
        ("evaluate.py", "benchmark.tasks.jsonl.source.media_root", "max_new_tokens=2", "summary.json"),
        ("scripts/knockout.py", "dataset.media_root", "dataset.max_new_tokens=2", "results.json"),
        ("scripts/explore.py", "dataset.media_root", "dataset.max_new_tokens=2", "explore.html"),
    ],
)
def test_an_evaluation_without_an_answer_leaves_its_folder_free(
    tmp_path: Path, program: str, root: str, short: str, left: str
) -> None:
    """So that the mended command is taken; once there is an answer, other settings are refused and nothing goes."""
    failed = asked(tmp_path, program, short)
    assert failed.returncode == 1 and "no such file" in failed.stderr, failed.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data.json"]
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (112, 112), "red").save(tmp_path / "pictures" / "a.png")
    done = asked(tmp_path, program, short, f"{root}={tmp_path}/pictures")
    assert done.returncode == 0 and (tmp_path / "out" / left).exists(), done.stderr
    if program != "scripts/explore.py":  # its page holds no answers that another start goes on with
        before = {path: path.read_bytes() for path in sorted((tmp_path / "out").glob("*.json*"))}
        again = asked(tmp_path, program, short.replace("2", "3"), f"{root}={tmp_path}/pictures")
        assert again.returncode == 1 and "holds an evaluation with" in again.stderr, again.stderr
        assert before == {path: path.read_bytes() for path in sorted((tmp_path / "out").glob("*.json*"))}


def test_one_benchmark_without_an_answer_leaves_the_other_as_it_is(tmp_path: Path) -> None:
    for name, error in (("a", None), ("b", "no such file")):
        with pytest.raises(UserError), occupied_once_answered(tmp_path / name, "items.jsonl", tmp_path):
            (tmp_path / name / "settings.json").write_text("{}")
            (tmp_path / name / "items.jsonl").write_text(json.dumps({"index": 0, "error": error}) + "\n")
            raise UserError("later")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "items.jsonl", "settings.json"]


def test_settings_that_were_there_before_stay(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("somebody's own")
    with pytest.raises(UserError), occupied_once_answered(tmp_path, "items.jsonl", tmp_path):
        raise UserError("refused")
    assert (tmp_path / "settings.json").read_text() == "somebody's own"


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
