"""Checkpoints: whole or not there, the newest whole one found, the best kept, and runs that stop and go on."""

from __future__ import annotations

import itertools
import json
import math
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ral.learner.checkpoints import CHECKSUM, FILE, PARTIAL, newest, read, save, saved, verified
from ral.learner.state import Best, Evaluated, Progress, RunState
from ral.lit.callbacks.checkpoints import Checkpoints, Keeping
from ral.lit.loggers import JsonLines
from ral.types import Example, UserError

PART = "{{_target_: ral.rewards.combine.Part, weight: 1, function: {{_target_: {}, _partial_: true}}}}"
SOME_REWARD = f"+reward.parts.size={PART.format(__name__ + '.size')}"
GROWING = f"+reward.parts.growing={PART.format(__name__ + '.growing')}"
CALLS = itertools.count()


def state(step: int) -> dict[str, Any]:
    return {"step": step, "weights": {"policy": {"w": torch.full((5000,), float(step))}}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Checkpoints of steps 5, 10 and 15, and half of one of step 20."""
    for step in (5, 10, 15):
        save(state(step), tmp_path / f"step_{step:06d}")
    (tmp_path / f"{PARTIAL}step_000020").mkdir()
    (tmp_path / f"{PARTIAL}step_000020" / FILE).write_bytes(b"half")
    return tmp_path


def damage(folder: Path) -> None:
    data = bytearray((folder / FILE).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / FILE).write_bytes(bytes(data))


def test_the_newest_whole_one_is_found(root: Path) -> None:
    assert newest(root) == root / "step_000015"
    damage(root / "step_000015")
    with pytest.warns(UserWarning, match=r"step_000015: the checkpoint is damaged"):
        assert newest(root) == root / "step_000010"
    (root / "step_000010" / FILE).write_bytes(b"")
    with pytest.warns(UserWarning, match="damaged"):
        assert newest(root) == root / "step_000005"


def test_a_damaged_one_is_told_in_one_plain_line(root: Path) -> None:
    damage(root / "step_000015")
    code = "import warnings; from pathlib import Path; from ral.errors import warn_in_plain_lines as plain"
    code += "; from ral.learner.checkpoints import newest"
    code += f"; plain(); newest(Path({str(root)!r})); warnings.warn('another')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, *rest = done.stderr.splitlines()
    damaged = f"{root / 'step_000015'}: the checkpoint is damaged (its checksum does not fit): passed over"
    assert first == f"warning: {damaged}"
    assert "UserWarning: another" in rest[0]


def test_a_run_does_not_begin_again_where_all_are_damaged(root: Path) -> None:
    for folder in saved(root):
        damage(folder)
    with pytest.raises(UserError, match=r"every checkpoint in .* is damaged"), pytest.warns(UserWarning):
        newest(root)
    assert newest(root / "empty") is None


def test_the_model_that_a_run_wrote_is_no_checkpoint(root: Path) -> None:
    run = root.parent
    (run / "checkpoints").exists() or root.rename(run / "checkpoints")
    (run / "hf").mkdir()
    newest_one = saved(run / "checkpoints")[-1]
    with pytest.raises(UserError, match=rf"^resume=.*/hf: .*the model that a run wrote: write resume={newest_one}$"):
        verified(run / "hf")
    with pytest.raises(UserError, match=rf"^{run}: .*the folder of some: write {newest_one}$"):
        verified(run, key="")


def test_a_named_one_is_verified(root: Path) -> None:
    assert torch.equal(read(verified(root / "step_000010"))["weights"]["policy"]["w"], torch.full((5000,), 10.0))
    damage(root / "step_000010")
    with pytest.raises(UserError, match=r"resume=.*step_000010: it is damaged"):
        verified(root / "step_000010")
    with pytest.raises(UserError, match=r"no such checkpoint folder; write resume=\S+step_000015$"):
        verified(root / "step_000099")
    with pytest.raises(UserError, match=r"^/.*step_000099: no such checkpoint folder; write /\S+step_000015$"):
        verified(root / "step_000099", key="")
    with pytest.raises(UserError, match=r"^resume=nowhere/step_1: no such checkpoint folder; write resume=auto or"):
        verified(Path("nowhere/step_1"))
    (root / "step_000005" / CHECKSUM).unlink()  # as version 0.1.0 wrote them
    assert read(verified(root / "step_000005"))["step"] == 5
    (root / "step_000005" / FILE).write_bytes(b"no checkpoint")
    with pytest.raises(UserError, match="cannot be read"):
        read(root / "step_000005")


@pytest.mark.parametrize(
    ("typed", "said"),
    [("step_5", "step_000005"), ("step_0010", "step_000010"), ("step_99", "{newest}"), ("x", "{newest}")],
)
def test_the_checkpoint_beside_one_that_is_not_there_is_named(root: Path, typed: str, said: str) -> None:
    newest = saved(root)[-1].name
    with pytest.raises(UserError) as told:
        verified(root / typed)
    named = root / said.format(newest=newest)
    assert (
        str(told.value) == f"resume={root / typed}: no such checkpoint folder; write resume={named}" and named.is_dir()
    )


@pytest.mark.parametrize("typed", [FILE, CHECKSUM, "shards/0.pt", "shards"])
def test_a_file_of_a_checkpoint_is_answered_with_its_folder(root: Path, typed: str) -> None:
    folder = root / "step_000005"
    with pytest.raises(UserError) as told:
        verified(folder / typed)
    line = f"resume={folder / typed}: a checkpoint is named by its folder: write resume={folder}"
    assert str(told.value) == line and verified(folder) == folder


def test_steps_are_ordered_by_number(tmp_path: Path) -> None:
    for step in (999_999, 1_000_000, 2_000_000):
        save(state(step), tmp_path / f"step_{step:06d}")
    assert newest(tmp_path) == tmp_path / "step_2000000"


def test_a_full_disk_leaves_the_checkpoints_before(root: Path) -> None:
    """Writes beyond 8 KB fail as on a full disk; the checkpoint has 20 KB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(UserError, match=r"step_000025: the checkpoint cannot be written .*resume=auto"):
            save(state(25), root / "step_000025")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert newest(root) == root / "step_000015" and not list(root.glob(f"{PARTIAL}step_000025"))
    save(state(25), root / "step_000025")
    assert newest(root) == root / "step_000025"


def test_the_newest_and_the_best_are_kept(root: Path) -> None:
    """Three evaluations: the second is the best, the third as good."""
    state = RunState(best=Best("eval/accuracy"))
    callback = Checkpoints(root, state, Keeping(every=5, keep=1, best="eval/accuracy"))
    better = []
    for step, value in ((5, 0.2), (10, 0.5), (15, 0.5)):
        state.progress, state.evaluated = Progress(step), Evaluated(step, {"eval/accuracy": value})
        better.append(callback.better())
    assert better == [True, True, False]
    state.progress, state.evaluated.means = Progress(16), {"eval/accuracy": 0.9}
    assert not callback.better()  # the evaluation is of another step
    callback.prune()
    assert [p.name for p in saved(root)] == ["step_000010", "step_000015"]
    assert json.loads((root / "best.json").read_text()) == {"step": 10, "metric": "eval/accuracy", "value": 0.5}


def test_the_last_evaluation_counts_for_the_best(run: Callable[..., Path], small: list[str]) -> None:
    """With a reward that grows at every call, every evaluation beats the one before."""
    folder = run(
        *small, "algo=grpo", "checkpoint.best=eval/reward", "checkpoint.keep=1", "max_steps=2", "eval.every=1", GROWING
    )
    assert json.loads((folder / "checkpoints" / "best.json").read_text())["step"] == 2


def test_metrics_of_a_killed_run_go_on(tmp_path: Path) -> None:
    """A last line that was cut, and lines after the checkpoint, give way."""
    lines = [json.dumps({"step": n, "train/reward": n / 10}) for n in range(5)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n" + lines[-1][:9])
    logger = JsonLines(tmp_path, first_step=3)
    logger.log_metrics({"train/reward": 0.7}, step=4)
    found = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in found] == [0, 1, 2, 3, 4] and found[-1]["train/reward"] == 0.7


def growing(example: Example, text: str) -> float:
    """More at every call."""
    return float(next(CALLS))


def size(example: Example, text: str) -> float:
    """A reward that random answers differ in."""
    return len(text) % 5 / 5


def without_times(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if not k.startswith("time/")} for line in lines]


@pytest.mark.parametrize("algo", [["algo=ral", "algo.attention.against=ema"], ["algo=ral_distill"]])
def test_a_resumed_run_is_bit_for_bit_the_whole_one(
    run: Callable[..., Path], small: list[str], algo: list[str]
) -> None:
    """From the middle; the newest checkpoints are damaged."""
    often = [*algo, *small, SOME_REWARD, "max_steps=4", "checkpoint.every=1", "checkpoint.keep=9"]
    whole = run(*often, folder="whole")
    expected, weights = without_times(whole), (whole / "hf" / "model.safetensors").read_bytes()
    best = json.loads((whole / "checkpoints" / "best.json").read_text())
    damage(whole / "checkpoints" / "step_000004")
    damage(whole / "checkpoints" / "step_000003")
    with pytest.warns(UserWarning, match="damaged"):
        run(*often, "resume=auto", folder="whole")
    assert without_times(whole) == expected and len(expected) == 5
    assert all(line["train/grad_norm"] > 0 for line in expected[1:])
    assert (whole / "hf" / "model.safetensors").read_bytes() == weights
    assert json.loads((whole / "checkpoints" / "best.json").read_text()) == best
    top = max(line["eval/accuracy"] for line in expected[1:])
    assert best["value"] == top and expected[best["step"]]["eval/accuracy"] == top


def test_an_evaluation_that_is_not_a_number_is_never_the_best() -> None:
    best = Best("eval/accuracy")
    values = (math.nan, 0.3, math.nan, 0.4)
    taken = [best.beaten(Evaluated(step, {"eval/accuracy": value})) for step, value in enumerate(values)]
    assert taken == [False, True, False, True] and best == Best("eval/accuracy", 3, 0.4)
