"""The comparison of two checkouts' runs: what differs counts, also under another name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ral.checks.golden import compare


def runs(folder: Path, **metrics: float) -> Path:
    (folder / "single-grpo-0").mkdir(parents=True)
    (folder / "single-grpo-0" / "metrics.jsonl").write_text(json.dumps({"step": 1, **metrics}) + "\n")
    return folder


def test_what_differs_counts_and_times_do_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = runs(tmp_path / "before", **{"train/loss": 1.0, "time/step": 3.0})
    same = runs(tmp_path / "same", **{"train/loss": 1.0, "time/step": 4.0})
    other = runs(tmp_path / "other", **{"train/loss": 1.0 + 1e-7})
    assert compare(before, same, 0.0) == 0 and compare(before, other, 1e-6) == 0
    capsys.readouterr()
    assert compare(before, other, 0.0) == 1
    assert "(train/loss, step 1)" in capsys.readouterr().out


def test_metrics_with_another_name_since_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name may have got another meaning: what has it now is shown as new, not compared."""
    before = runs(tmp_path / "before", look=1.0)
    after = runs(tmp_path / "after", look=5.0, look_of_answers=1.0)
    assert compare(before, after, 0.0) == 1
    assert compare(before, after, 0.0, {"look": "look_of_answers"}) == 0
    assert "1 metrics: equal; on one side only: look\n" in capsys.readouterr().out
    assert (
        compare(before, runs(tmp_path / "wrong", look=5.0, look_of_answers=2.0), 0.0, {"look": "look_of_answers"}) == 1
    )


def test_folders_without_a_common_run_are_no_success(tmp_path: Path) -> None:
    assert compare(runs(tmp_path / "before", look=1.0), tmp_path / "absent", 0.0) == 1
