"""Runs that are killed at random moments and resumed, compared with a run that was never stopped."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ral.files import jsonl
from ral.files.repository import ROOT, TRAIN
from ral.learner.checkpoints import PARTIAL

SMALL = (
    *("max_steps=12", "checkpoint.every=1", "checkpoint.keep=3", "eval.every=4", "eval.prompts=8", "eval.batch=8"),
    *("logger=jsonl", "start_check=false", "algo.prompts_per_step=4", "dataset.max_new_tokens=24"),
)
FILES = ("hf/model.safetensors", "eval/before.jsonl", "eval/after.jsonl")
POLL = 0.002  # seconds between looks for a checkpoint being written
LONGEST = 900.0  # seconds that a run may take


def start(folder: Path, overrides: list[str]) -> subprocess.Popen[bytes]:
    """Start a run in `folder`, from its newest checkpoint where there is one.

    Its output goes to a file beside the folder.
    """
    command = [sys.executable, str(TRAIN), *SMALL, *overrides, f"hydra.run.dir={folder}", "resume=auto"]
    with folder.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=log, stderr=log)


def finish(folder: Path, overrides: list[str]) -> float:
    """Run to the end, from the newest checkpoint where there is one; return the seconds.

    SystemExit with a message where the run fails; subprocess.TimeoutExpired after LONGEST seconds.
    """
    started = time.monotonic()
    if code := start(folder, overrides).wait(timeout=LONGEST):
        sys.exit(f"error: the run in {folder} ended with exit code {code}: see {folder.with_suffix('.log')}")
    return time.monotonic() - started


def kill_after(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Kill a run by SIGKILL after `seconds`, unless it ends before."""
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def kill_while_saving(process: subprocess.Popen[bytes], folder: Path, number: int) -> None:
    """Kill a run by SIGKILL while it writes its `number`-th checkpoint, unless it ends before."""
    seen: set[str] = set()
    while process.poll() is None:
        seen |= {p.name for p in (folder / "checkpoints").glob(f"{PARTIAL}*")}
        if len(seen) >= number:
            process.kill()
            process.wait()
        time.sleep(POLL)


def facts(folder: Path) -> dict[str, Any]:
    """Return the content of metrics.jsonl without time/*, and the SHA-256 of each of FILES.

    A resumed run has the same facts as an uninterrupted one.
    """
    lines = jsonl.read(folder / "metrics.jsonl")
    metrics = [{k: v for k, v in line.items() if not k.startswith("time/")} for line in lines]
    return {"metrics": metrics, **{name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}}


def disturbed(folder: Path, overrides: list[str], seconds: float, rng: random.Random, saving: bool) -> dict[str, Any]:
    """Kill a run once, let it resume to its end, and return its state after the kill.

    The state is killed (True), step (lines of metrics.jsonl less one, at least 0) and half_a_checkpoint (whether a
    partly written checkpoint was left). A run that ends before its kill is deleted and started anew. SystemExit where
    the resumed run fails.

    seconds: duration of an uninterrupted run. saving: True to kill while the n-th checkpoint is written, n drawn from 1
    to 10; False to kill after 0.2 to 1.0 times `seconds`, which shrinks by a tenth with each repetition.
    """
    while True:
        process = start(folder, overrides)
        if saving:
            kill_while_saving(process, folder, rng.randint(1, 10))
        else:
            kill_after(process, rng.uniform(0.2, 1.0) * seconds)
        if killed := process.returncode != 0:
            break
        shutil.rmtree(folder)
        seconds *= 0.9
    metrics = folder / "metrics.jsonl"
    at = max(metrics.read_text().count("\n") - 1, 0) if metrics.exists() else 0
    half = bool(list((folder / "checkpoints").glob(f"{PARTIAL}*")))
    finish(folder, overrides)
    return {"killed": killed, "step": at, "half_a_checkpoint": half}
