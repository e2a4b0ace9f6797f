"""The parent's side of a measurement: workers that take turns, summaries of their replies, tables."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ral.errors import UserError
from ral.files.repository import ROOT
from ral.report.environment import git_commit, gpu_names, processor_name

MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "8589934592",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
}
"""glibc keeps what it got from the kernel (bytes): else part of a step is page faults, more of them on TRL's side."""

Reply = dict[str, Any]
"""A worker's answer to "step": seconds, cpu_seconds, peak_gb, facts."""


class Worker:
    """A worker process that answers each line with one JSON line; its other output goes to the file `log`.

    spec: sent to it as JSON. Its environment allows no downloads, and `threads` threads.
    """

    def __init__(self, python: Path, module: str, spec: Mapping[str, Any], log: Path, threads: int) -> None:
        own = os.environ.get("PYTHONPATH") if python == Path(sys.executable) else None  # not for another environment
        variables = {
            "OMP_NUM_THREADS": str(threads),
            "OMP_WAIT_POLICY": "passive",
            "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), own))),
            **MALLOC,
        }
        self.name, self.log = module, log
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                [str(python), "-m", module, json.dumps(spec)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                bufsize=1,
                env=os.environ | variables,
            )

    def ask(self, request: str) -> Reply:
        """Return the answer to one line. UserError, with the worker's last words, where it has ended."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(request + "\n")
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            words = self.log.read_text().strip().splitlines() or ["nothing"]
            raise UserError(f"{self.name} ended; its last words: {words[-1]} (all of them: {self.log})")
        reply: Reply = json.loads(answer)
        return reply

    def close(self) -> None:
        """End the process: there is nothing to save."""
        self.process.kill()
        self.process.communicate()


def in_turn(
    workers: Mapping[str, Worker], warmup: int, repeats: int, progress: Callable[[], object]
) -> dict[str, list[Reply]]:
    """Return `repeats` replies of each worker to "step", after `warmup` uncounted ones. Workers take turns.

    Who is first alternates. Peaks of memory count from the end of the warm-up. progress: called after each step.
    """
    replies: dict[str, list[Reply]] = {name: [] for name in workers}
    for turn in range(warmup + repeats):
        for name in workers if turn % 2 == 0 else reversed(list(workers)):
            if turn == warmup:
                workers[name].ask("reset")
            reply = workers[name].ask("step")
            if turn >= warmup:
                replies[name].append(reply)
            progress()
    return replies


def spread(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Return min, median and max of the values, rounded to `digits` decimals."""
    chosen = {"min": min(values), "median": statistics.median(values), "max": max(values)}
    return {name: round(value, digits) for name, value in chosen.items()}


def compare(ours: Sequence[Reply], theirs: Sequence[Reply]) -> dict[str, Any]:
    """Return the ratios of their seconds to ours pair by pair, both sides' figures, and our peak memory over theirs."""

    def side(replies: Sequence[Reply]) -> dict[str, Any]:
        times = {key: spread([r[key] for r in replies]) for key in ("seconds", "cpu_seconds")}
        return {**times, "peak_gb": round(max(r["peak_gb"] for r in replies), 3)}

    def pairs(key: str) -> dict[str, float]:
        return spread([t[key] / o[key] for o, t in zip(ours, theirs, strict=True)])

    one, other = side(ours), side(theirs)
    memory = round(one["peak_gb"] / other["peak_gb"], 3)
    ratios = {"ratio": pairs("seconds"), "cpu_ratio": pairs("cpu_seconds"), "memory_ratio": memory}
    return {**ratios, "ours": one, "theirs": other}


def machine(**versions: str) -> dict[str, Any]:
    """Return the machine and the versions that figures belong to."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    facts = {"cpu": processor_name(), "cores": os.cpu_count(), "memory_gb": round(memory, 1)}
    return {**facts, "gpu": gpu_names(), "python": platform.python_version(), "commit": git_commit(), **versions}


def range_text(values: Mapping[str, float], digits: int = 2) -> str:
    """Return "median (min to max)"."""
    median, low, high = (f"{values[k]:.{digits}f}" for k in ("median", "min", "max"))
    return f"{median} ({low} to {high})"


def out_of_memory(error: UserError) -> bool:
    """Tell whether a worker failed because the GPU's memory was full."""
    return "out of memory" in str(error)


def progress_bar() -> Progress:
    """Return a progress bar of steps on stderr, with elapsed and remaining time."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True))


def publish(path: Path, result: Mapping[str, Any], text: str) -> None:
    """Write <path>.json and <path>.md, print the text, and the result as the last line."""
    path.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    path.with_suffix(".md").write_text(text)
    print(text)
    print(json.dumps(result))
