"""Bad input through the command line: one line on stderr that begins with `error:`, exit code 1, no traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import call
from PIL import Image


def entry(folder: Path, number: int = 0, **changes: Any) -> dict[str, Any]:
    """A good entry of a user's file, with changes."""
    picture = folder / f"{number}.png"
    if not picture.exists():
        Image.new("RGB", (56, 56), (200, 10 * number, 10)).save(picture)
    return {"question": "What color?", "answer": "red", "problem_type": "free-form", "image": picture.name} | changes


def write(folder: Path, entries: list[Any]) -> Path:
    """The entries as a JSON file."""
    path = folder / "data.json"
    path.write_text(json.dumps(entries))
    return path


@pytest.fixture
def fails(tmp_path: Path, model_folder: Callable[..., Path]) -> Callable[..., str]:
    """Run train.py with overrides; its one error line."""

    def run(*overrides: str) -> str:
        command = ["logger=jsonl", "max_steps=1", "eval.prompts=4"]
        if not any(o.startswith("model.pretrained=") for o in overrides):
            command.append(f"model.pretrained={model_folder()}")
        if not any(o.startswith("hydra.run.dir=") for o in overrides):
            command.append(f"hydra.run.dir={tmp_path / 'run'}")
        done = call("train.py", *command, *overrides, folder=tmp_path)
        lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
        assert done.returncode == 1, done.stderr
        assert len(lines) == 1 and done.stderr.strip().splitlines()[-1] == lines[0], done.stderr
        assert "Traceback" not in done.stderr
        return lines[0]

    return run


def test_missing_model_folder(fails: Callable[..., str], tmp_path: Path) -> None:
    line = fails(f"model.pretrained={tmp_path / 'nowhere'}")
    assert "model.pretrained" in line and "nowhere" in line


def test_model_folder_of_another_family(fails: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}')
    line = fails(f"model.pretrained={tmp_path / 'bert'}")
    assert "bert" in line and "qwen2_5_vl" in line


def test_missing_json(fails: Callable[..., str], tmp_path: Path) -> None:
    assert "absent.json" in fails("dataset=jsonl", f"dataset.path={tmp_path / 'absent.json'}")


def test_malformed_entry_names_entry_and_field(fails: Callable[..., str], tmp_path: Path) -> None:
    entries = [entry(tmp_path, i) for i in range(4)]
    entries[2]["answer"] = {"red": 1}
    line = fails("dataset=jsonl", f"dataset.path={write(tmp_path, entries)}")
    assert "data.json" in line and "entry 3" in line and "answer" in line


def test_missing_media_file(fails: Callable[..., str], tmp_path: Path) -> None:
    entries = [entry(tmp_path, i) for i in range(4)]
    entries[1]["image"] = "lost.png"
    line = fails("dataset=jsonl", f"dataset.path={write(tmp_path, entries)}")
    assert "entry 2" in line and "lost.png" in line


def test_unreadable_picture(fails: Callable[..., str], tmp_path: Path) -> None:
    entries = [entry(tmp_path, i) for i in range(4)]
    for i in range(4):
        (tmp_path / f"{i}.png").write_text("no picture")
    line = fails("dataset=jsonl", f"dataset.path={write(tmp_path, entries)}", "hardware.num_workers=1")
    assert ".png" in line and "picture" in line


def test_clip_without_frames(fails: Callable[..., str], tmp_path: Path) -> None:
    entries = []
    for i in range(4):
        (tmp_path / f"{i}.mp4").write_bytes(b"")
        item = entry(tmp_path, i)
        del item["image"]
        entries.append(item | {"video": f"{i}.mp4"})
    line = fails("dataset=jsonl", f"dataset.path={write(tmp_path, entries)}")
    assert ".mp4" in line


def test_unknown_problem_type(fails: Callable[..., str], tmp_path: Path) -> None:
    entries = [entry(tmp_path, i) for i in range(3)] + [entry(tmp_path, 3, problem_type="riddle")]
    line = fails("dataset=jsonl", f"dataset.path={write(tmp_path, entries)}")
    assert "entry 4" in line and "riddle" in line and "free-form" in line


def test_ral_with_one_update_against_the_old_policy(fails: Callable[..., str]) -> None:
    line = fails("algo=ral", "algo.updates_per_rollout=1")
    assert "algo.updates_per_rollout" in line and "algo.attention.against" in line


def test_group_of_one(fails: Callable[..., str]) -> None:
    assert "algo.group_size=1" in fails("algo=grpo", "algo.group_size=1")


def test_empty_evaluation_split(fails: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "empty.json").write_text("[]")
    data = write(tmp_path, [entry(tmp_path)])
    line = fails("dataset=jsonl", f"dataset.path={data}", f"dataset.validation_path={tmp_path / 'empty.json'}")
    assert "empty.json" in line


def test_output_folder_that_cannot_be_written(fails: Callable[..., str]) -> None:
    assert "hydra.run.dir" in fails("hydra.run.dir=/proc/ral")


def test_misspelt_key_and_group_value_get_the_closest_names(fails: Callable[..., str]) -> None:
    assert "algo.group_size" in fails("algo.grup_size=4")
    assert "ral_distill" in fails("algo=ral_destill")
    assert "clip_low" in fails("+algo.token.clip_lo=0.1")
