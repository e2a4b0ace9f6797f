"""A model all of whose layers use a sliding window trains where no attention rows are needed, and is refused where."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ral.errors import UserError


@pytest.fixture
def windows(tmp_path: Path, small: list[str], model_folder: Callable[..., Path]) -> list[str]:
    """Overrides of a small run on the small model with windows of more tokens than any row has."""
    folder = Path(shutil.copytree(model_folder(), tmp_path / "windows"))
    config = json.loads((folder / "config.json").read_text())
    kinds = ["sliding_attention"] * config["text_config"]["num_hidden_layers"]
    config["text_config"] |= {"use_sliding_window": True, "sliding_window": 4096, "layer_types": kinds}
    (folder / "config.json").write_text(json.dumps(config))
    return [*small, f"model.pretrained={folder}", "hardware.share_prompt=false", "eval.every=0", "start_check=false"]


def steps(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_grpo_without_rows_is_that_of_full_attention(
    run: Callable[..., Path], small: list[str], windows: list[str]
) -> None:
    settings = ["algo=grpo", "diagnostics.every=0"]
    same = ["hardware.share_prompt=false", "eval.every=0", "start_check=false"]
    ours, full = run(*settings, *windows, folder="a"), run(*settings, *small, *same, folder="b")
    for one, other in zip(steps(ours), steps(full), strict=True):
        keys = [key for key in ("train/loss", "train/grad_norm", "train/reward", "train/kl") if key in other]
        assert [one[key] for key in keys] == pytest.approx([other[key] for key in keys], rel=1e-5, abs=1e-7)
    records, others = (
        [json.loads(line) for line in (folder / "eval" / "after.jsonl").read_text().splitlines()]
        for folder in (ours, full)
    )
    assert [r["response"] for r in records] == [r["response"] for r in others] and others[0]["attention"] is not None
    assert records and all(r["attention"] is None and r["grounding"] is None for r in records)


@pytest.mark.parametrize("more", [["algo=ral"], ["algo=grpo"], ["algo=grpo", "diagnostics.every=0", "eval.layers=all"]])
def test_rows_that_are_needed_are_refused(run: Callable[..., Path], windows: list[str], more: list[str]) -> None:
    said = (
        r"attention_policy.layers names layer \d of .* which is sliding_attention, .*; no layer .* diagnostics.every=0"
    )
    with pytest.raises(UserError, match=said):
        run(*windows, *more)
