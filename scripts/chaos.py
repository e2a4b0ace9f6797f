"""Kill runs at random moments, resume them, and compare with the run that was never stopped.

    python scripts/chaos.py                             # 20 runs, each killed once (SIGKILL)
    python scripts/chaos.py --runs 5 -- algo=ral_distill max_steps=20

Every fourth run is killed while a checkpoint is being written. A run is right where metrics.jsonl without its times,
the exported weights and the evaluation's records are equal to those of the undisturbed run, byte for byte.
The last line is a JSON object; exit code 1 where a run differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.progress import track

from ral.learner.checkpoints import PARTIAL

ROOT = Path(__file__).resolve().parent.parent
SMALL = (
    *("max_steps=12", "checkpoint.every=1", "checkpoint.keep=3", "eval.every=4", "eval.prompts=8", "eval.batch=8"),
    *("logger=jsonl", "start_check=false", "algo.prompts_per_step=4", "dataset.max_new_tokens=24"),
)
FILES = ("hf/model.safetensors", "eval/before.jsonl", "eval/after.jsonl")
POLL = 0.002  # seconds between looks for a checkpoint being written
LONGEST = 900.0  # seconds that a run may take


def start(folder: Path, overrides: list[str]) -> subprocess.Popen[bytes]:
    """A run in `folder` that goes on from its newest checkpoint, its output in a file beside it."""
    command = [sys.executable, str(ROOT / "train.py"), *SMALL, *overrides, f"hydra.run.dir={folder}", "resume=auto"]
    with folder.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=log, stderr=log)


def finish(folder: Path, overrides: list[str]) -> float:
    """Run to the end. Returns its seconds; exits with a message where the run fails."""
    started = time.monotonic()
    if code := start(folder, overrides).wait(timeout=LONGEST):
        sys.exit(f"error: the run in {folder} ended with exit code {code}: see {folder.with_suffix('.log')}")
    return time.monotonic() - started


def kill_after(process: subprocess.Popen[bytes], seconds: float) -> None:
    """SIGKILL, unless the run ends before."""
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def kill_while_saving(process: subprocess.Popen[bytes], folder: Path, number: int) -> None:
    """SIGKILL once the `number`-th checkpoint of the run is being written."""
    seen: set[str] = set()
    while process.poll() is None:
        seen |= {p.name for p in (folder / "checkpoints").glob(f"{PARTIAL}*")}
        if len(seen) >= number:
            process.kill()
            process.wait()
        time.sleep(POLL)


def facts(folder: Path) -> dict[str, Any]:
    """What must be the same in a run that was killed and resumed."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    metrics = [{k: v for k, v in line.items() if not k.startswith("time/")} for line in lines]
    return {"metrics": metrics, **{name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}}


def disturbed(folder: Path, overrides: list[str], seconds: float, rng: random.Random, saving: bool) -> dict[str, Any]:
    """Kill a run once, earlier where it ended before, then let it end. Returns how far it was, and what it left."""
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


def main() -> None:
    """Run them all and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20, help="runs to kill (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=ROOT / "outputs" / "chaos", help="folder, emptied first")
    parser.add_argument("overrides", nargs="*", help="of the runs, after --")
    given = parser.parse_args()
    shutil.rmtree(given.output, ignore_errors=True)
    given.output.mkdir(parents=True)
    seconds = finish(given.output / "undisturbed", given.overrides)
    expected, rng, results = facts(given.output / "undisturbed"), random.Random(given.seed), []
    for number in track(range(given.runs), description="killing"):
        folder = given.output / f"{number:02}"
        found = disturbed(folder, given.overrides, seconds, rng, saving=number % 4 == 3)
        different = [name for name, value in facts(folder).items() if value != expected[name]]
        results.append(found | {"different": different})
        print(f"run {number}: {results[-1]}", flush=True)
    wrong = sum(bool(r["different"]) for r in results)
    summary = {key: sum(r[key] for r in results) for key in ("killed", "half_a_checkpoint")}
    print(json.dumps({"runs": given.runs, **summary, "different": wrong, "seconds_undisturbed": round(seconds, 1)}))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
