"""Short trainings with two checkouts, compared in every metric, to see whether a change of the code alters results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.progress import track

from ral.files import jsonl

ALGORITHMS = ("grpo", "ral", "ral_distill", "ral_explore", "t_grpo", "sft", "reward_model")
CPU_RANKS = ("hardware.accelerator=cpu", "hardware.precision=32-true", "hardware.num_workers=0")
PROCESSES = {
    "single": ("hardware=cpu",),
    "ddp": ("hardware=ddp", *CPU_RANKS),
    "fsdp": ("hardware=fsdp", *CPU_RANKS),
}
SMALL = (
    *("max_steps=5", "logger=jsonl", "eval.every=0", "eval.prompts=8", "algo.prompts_per_step=4", "start_check=false"),
    *("checkpoint.every=0", "diagnostics.every=2", "dataset.max_new_tokens=32", "hardware.threads=1"),
)
UNSTEADY = ("time/", "data/bytes", "memory/")
"""Beginnings of metrics that measure the machine. They are not compared."""


def command(checkout: Path, algorithm: str, seed: int, processes: str, folder: Path, pairs: Path) -> list[str]:
    """Return the command line of one run.

    processes: key of PROCESSES. folder: folder of the run. pairs: file of preference pairs, for algorithm
    "reward_model".
    """
    data = ["dataset=jsonl", f"dataset.path={pairs}"] if algorithm == "reward_model" else []
    run = [f"algo={algorithm}", f"seed={seed}", f"hydra.run.dir={folder}"]
    return [sys.executable, str(checkout / "train.py"), *run, *SMALL, *PROCESSES[processes], *data]


def run(
    checkout: Path, output: Path, algorithms: Sequence[str], seeds: Sequence[int], processes: Sequence[str]
) -> None:
    """Make all runs of a checkout that are not finished yet, in folders below `output`.

    SystemExit where a run fails.
    """
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}
    output.mkdir(parents=True, exist_ok=True)
    pairs = output / "pairs.jsonl"
    if not pairs.exists():
        make = [sys.executable, str(checkout / "scripts/make_preferences.py"), "--output", str(pairs)]
        subprocess.run(make, cwd=checkout, env=environment, check=True, capture_output=True)
    cells = [(a, s, p) for p in processes for a in algorithms for s in seeds]
    for algorithm, seed, kind in track(cells, description=str(checkout)):
        folder = output / f"{kind}-{algorithm}-{seed}"
        if (folder / "eval/after.jsonl").exists():
            continue
        line = command(checkout, algorithm, seed, kind, folder, pairs)
        done = subprocess.run(line, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"error: {' '.join(line)} ended with {done.returncode}:\n{done.stderr[-2000:]}")


def metrics(file: Path) -> Iterator[tuple[int, str, float]]:
    """Yield (step, key, value) of every metric of a run that does not begin with one of UNSTEADY.

    file: metrics.jsonl.
    """
    for row in jsonl.read(file):
        for key, value in row.items():
            if key != "step" and not key.startswith(UNSTEADY) and isinstance(value, int | float):
                yield row["step"], key, float(value)


def difference(a: float, b: float) -> float:
    """Return |a - b| over the larger of |a| and |b|; 0 where both are equal or both are NaN."""
    return 0.0 if a == b or (a != a and b != b) else abs(a - b) / max(abs(a), abs(b), 1e-12)


def compare(before: Path, after: Path, tolerance: float, renamed: Mapping[str, str] | None = None) -> int:
    """Print the largest difference of each run that both folders hold; return the number of runs beyond the tolerance.

    It returns 1 where the folders share no run. tolerance: largest `difference` that passes. renamed: {key before: key
    after}, for metrics whose names have changed.
    """
    renamed = renamed or {}
    wrong = 0
    names = sorted(
        {p.parent.name for p in before.glob("*/metrics.jsonl")} & {p.parent.name for p in after.glob("*/metrics.jsonl")}
    )
    for name in names:
        one, two = ({(s, k): v for s, k, v in metrics(f / name / "metrics.jsonl")} for f in (before, after))
        one = {(s, renamed.get(k, k)): v for (s, k), v in one.items()}
        worst = max(((difference(one[k], two[k]), *k) for k in one.keys() & two.keys()), default=(0.0, 0, "nothing"))
        alone = sorted({key for _, key in one.keys() ^ two.keys()})
        wrong += worst[0] > tolerance
        verdict = "equal" if worst[0] == 0 else f"{worst[0]:.1e} ({worst[2]}, step {worst[1]})"
        unshared = f"; on one side only: {', '.join(alone)}" if alone else ""
        print(f"{name:24} {len(one.keys() & two.keys()):4} metrics: {verdict}{unshared}")
    print(json.dumps({"runs": len(names), "beyond_tolerance": wrong, "tolerance": tolerance}))
    return wrong if names else 1
