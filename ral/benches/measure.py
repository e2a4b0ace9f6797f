"""The parent process of a measurement: its workers that take turns, summaries of their replies, tables."""

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
"""Settings, in bytes, with which glibc keeps the memory that the kernel gave it.

Without them part of a step is page faults, and more of them on TRL's side.
"""

Reply = dict[str, Any]
"""A worker's answer to the request "step": seconds, cpu_seconds, peak_gb, facts."""


class Worker:
    """A worker process that answers each line of its input with one JSON line; its other output goes to the file `log`.

    python: its interpreter. module: the module that it runs. spec: the argument of the module, passed as JSON. The
    process may download nothing and use `threads` threads.
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
        """Return the answer to one request. UserError, with the worker's last words, where the worker has ended."""
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
        """Kill the process, which has nothing to save."""
        self.process.kill()
        self.process.communicate()


def in_turn(
    workers: Mapping[str, Worker], warmup: int, repeats: int, progress: Callable[[], object]
) -> dict[str, list[Reply]]:
    """Return {worker: `repeats` replies to "step"}, made after `warmup` steps that do not count. Workers take turns.

    The worker that goes first alternates. Peaks of memory count from the end of the warm-up. progress: called after
    each step. UserError where a worker ends early.
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
    """Return both sides' figures and their ratios.

    ratio, cpu_ratio: spread of their seconds over ours, pair by pair, in wall and in processor time. memory_ratio: our
    peak memory over theirs. ours, theirs: spreads of each side's seconds, and its peak.
    """

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
    """Return the facts of this machine, the commit and the versions, to stand beside figures.

    versions: further facts.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    facts = {"cpu": processor_name(), "cores": os.cpu_count(), "memory_gb": round(memory, 1)}
    return {**facts, "gpu": gpu_names(), "python": platform.python_version(), "commit": git_commit(), **versions}


def range_text(values: Mapping[str, float], digits: int = 2) -> str:
    """Return "median (min to max)" of a result of `spread`, with `digits` decimals."""
    median, low, high = (f"{values[k]:.{digits}f}" for k in ("median", "min", "max"))
    return f"{median} ({low} to {high})"


def out_of_memory(error: UserError) -> bool:
    """Tell whether a worker's error says that the GPU's memory was full."""
    return "out of memory" in str(error)


def progress_bar() -> Progress:
    """Return a progress bar of steps on stderr, with elapsed and remaining time."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True))


def publish(path: Path, result: Mapping[str, Any], text: str) -> None:
    """Write <path>.json and <path>.md; print `text`, then `result` as one JSON line."""
    path.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    path.with_suffix(".md").write_text(text)
    print(text)
    print(json.dumps(result))
