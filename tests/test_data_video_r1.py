"""From a file in Video-R1's SFT format to one in its RL format: two runs, the second from the first one's hf folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ral.types import UserError
from ral.worlds.visual_search import make


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """The two files, made locally, in another folder than their media."""
    made = [make(tmp_path / "media", split, size=12, seed=0) for split in ("sft", "train")]
    (tmp_path / "json").mkdir()
    names = ("Video-R1-COT-165k.json", "Video-R1-260k.json")
    for path, name in zip(made, names, strict=True):
        (tmp_path / "json" / name).write_bytes(path.read_bytes())
    return tmp_path / "json" / names[0], tmp_path / "json" / names[1]


@pytest.fixture
def common(tmp_path: Path) -> list[str]:
    media = ["dataset.media.image_min_pixels=784", "dataset.media.video_min_pixels=784"]
    length = ["max_steps=1", "eval.every=0", "eval.batch=2", "algo.prompts_per_step=4", "dataset.max_new_tokens=6"]
    return [*media, *length, f"dataset.media_root={tmp_path / 'media'}", f"dataset.disk_cache={tmp_path / 'cache'}"]


def test_sft_then_rl(
    files: tuple[Path, Path], common: list[str], run: Callable[..., Path], model_folder: Callable[..., Path]
) -> None:
    cot, rl = files
    start = f"model.pretrained={model_folder()}"
    taught = run("algo=sft", "dataset=video_r1_cot", f"dataset.path={cot}", start, *common, folder="sft")
    after = f"model.pretrained={taught / 'hf'}"
    reinforced = run(
        "algo=ral", "dataset=video_r1", f"dataset.path={rl}", after, "dataset.limit=8", *common, folder="rl"
    )
    lines = [json.loads(line) for line in (reinforced / "metrics.jsonl").read_text().splitlines()]
    assert "train/attention_divergence" in lines[-1] and lines[-1]["data/skipped"] == 0
    records = [json.loads(line) for line in (reinforced / "eval" / "after.jsonl").read_text().splitlines()]
    assert [r["uid"].rsplit("-", 1)[0] for r in records] == ["Video-R1-260k"] * 2  # a fifth of 12 is held out
    assert len(list((reinforced.parent / "cache").glob("*.npy"))) > 4


def test_the_rl_file_does_not_teach_thinking(
    files: tuple[Path, Path], common: list[str], run: Callable[..., Path], model_folder: Callable[..., Path]
) -> None:
    entries = [entry | {"process": None} for entry in json.loads(files[1].read_text())]
    files[1].write_text(json.dumps(entries))
    with pytest.raises(UserError, match=r"field 'process': missing, and this run trains thinking"):
        run("algo=sft", "dataset=video_r1", f"dataset.path={files[1]}", f"model.pretrained={model_folder()}", *common)
