"""A long training whose memory is watched, to see whether memory that steps leave behind adds up."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from rich.progress import Progress

OWN = (
    "logger=jsonl",
    "start_check=false",
    "eval.before=false",
    "eval.every=500",
    "eval.prompts=64",
    "checkpoint.every=250",
)
POLL = 0.2  # seconds between readings


def resident(process: int) -> float:
    """Return the resident memory of a process in MiB; 0 once it has ended."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def watch(process: subprocess.Popen[bytes], metrics: Path, steps: int) -> dict[int, float]:
    """Wait for a run to end; return {steps done: resident memory in MiB}. metrics: the run's metrics.jsonl.

    steps: number of all steps, for the progress bar.
    """
    seen: dict[int, float] = {}
    with Progress() as bar:
        task = bar.add_task("steps", total=steps)
        while process.poll() is None:
            time.sleep(POLL)
            done = metrics.read_bytes().count(b"\n") if metrics.exists() else 0
            if done and (memory := resident(process.pid)):
                seen[done] = memory
                bar.update(task, completed=done)
    return seen
