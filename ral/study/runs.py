"""Runs cells of scripts/reproduce.py side by side: each train.py in a process of its own, marked as done once whole."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ral.errors import UserError
from ral.files import repository
from ral.study.plan import DONE, THREADS, Cell, command_line, evaluated, run_directory

TRAIN = (sys.executable, str(repository.TRAIN))
QUIET = {"OMP_NUM_THREADS": THREADS, "OMP_WAIT_POLICY": "passive"}
"""One thread a run: threads of runs side by side would wait for each other."""
POLL = 0.2  # seconds between looks at the runs
GRACE = 10.0  # seconds that a stopped run has to leave


def command_of(cell: Cell, train: Sequence[str] = TRAIN) -> list[str]:
    """Return the command that makes a cell."""
    return [*train, *cell.overrides, f"seed={cell.seed}", run_directory(cell.folder)]


@dataclass
class Running:
    """A run under way."""

    cell: Cell
    process: subprocess.Popen[bytes]
    log: TextIO
    started: float


def log_of(cell: Cell) -> Path:
    """Return the file of a run's output, which stays where the run failed."""
    return cell.folder.with_suffix(".log")


def start(cell: Cell, train: Sequence[str]) -> Running:
    """Start a cell's run in a process group of its own; what an unfinished one left is removed."""
    shutil.rmtree(cell.folder, ignore_errors=True)
    cell.folder.parent.mkdir(parents=True, exist_ok=True)
    log = log_of(cell).open("w")
    environment = {k: v for k, v in os.environ.items() if k != "RAL_RUN_FOLDER"} | QUIET
    process = subprocess.Popen(
        command_of(cell, train),
        stdout=log,
        stderr=log,
        stdin=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    return Running(cell, process, log, time.monotonic())


def stop(running: Sequence[Running]) -> None:
    """End runs and what they have started."""
    left = [run for run in running if run.process.poll() is None]
    for run in left:
        os.killpg(run.process.pid, signal.SIGTERM)
    for run in left:
        try:
            run.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.wait()
    for run in running:
        run.log.close()


def finish(run: Running) -> str | None:
    """Mark a run that has ended as done, less what need not stay; why it failed otherwise."""
    run.log.close()
    cell, seconds = run.cell, time.monotonic() - run.started
    if run.process.returncode:
        return last_error(log_of(cell)) or f"exit code {run.process.returncode}"
    if not evaluated(cell.folder):
        return "it left with 0 but has no evaluation at its last step"
    for part in ("checkpoints", *(() if cell.keep_weights else ("hf",))):
        shutil.rmtree(cell.folder / part, ignore_errors=True)
    log_of(cell).unlink()
    facts = {
        "seconds": round(seconds, 1),
        "commit": commit_of(cell.folder),
        "command": command_line(cell.overrides, cell.seed, cell.folder),
    }
    draft = cell.folder / f".{DONE}"
    draft.write_text(json.dumps(facts, indent=1) + "\n")
    draft.replace(cell.folder / DONE)
    return None


def commit_of(folder: Path) -> str:
    """Return the commit that a run says it is of."""
    path = folder / "environment.json"
    return str(json.loads(path.read_text()).get("commit", "unknown")) if path.is_file() else "unknown"


def last_error(log: Path) -> str:
    """Return the last line that begins with `error:`, else the last line that says something."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or [""])[-1]


class Bar:
    """One bar with the time left, from the mean seconds of the cells so far; lines where the output is no terminal."""

    def __init__(self, total: int, processes: int, console: Console) -> None:
        self.total, self.processes, self.console = total, processes, console
        self.ended: list[float] = []
        columns = (
            TextColumn("runs"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
        )
        self.bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self.task = self.bar.add_task("", total=total)

    def left(self) -> str:
        """Return the time left in words."""
        seconds = sum(self.ended) / len(self.ended) * (self.total - len(self.ended)) / self.processes
        return f"about {seconds / 60:.0f} min left" if seconds > 90 else f"about {seconds:.0f} s left"

    def end(self, run: Running, problem: str | None) -> None:
        """Count a run."""
        seconds = time.monotonic() - run.started
        self.ended.append(seconds)
        self.bar.update(self.task, advance=1, description=self.left())
        line = f"{len(self.ended)}/{self.total} {run.cell.name}: " + (problem or f"{seconds:.0f} s, {self.left()}")
        if problem or not self.console.is_terminal:
            self.bar.console.print(line, markup=False, highlight=False, soft_wrap=True)


def run_cells(
    todo: Sequence[Cell], processes: int, train: Sequence[str] = TRAIN, console: Console | None = None
) -> dict[str, str]:
    """Run cells, `processes` at once; return {cell: why} of those that failed. An interruption stops them first."""
    waiting, running, failed = list(todo), list[Running](), dict[str, str]()
    before = signal.signal(signal.SIGTERM, interrupt)
    bar = Bar(len(todo), processes, console or Console(stderr=True))
    try:
        with bar.bar:
            while waiting or running:
                while waiting and len(running) < processes:
                    running.append(start(waiting.pop(0), train))
                time.sleep(POLL)
                for run in [r for r in running if r.process.poll() is not None]:
                    running.remove(run)
                    problem = finish(run)
                    failed |= {run.cell.name: problem} if problem else {}
                    bar.end(run, problem)
    finally:
        stop(running)
        signal.signal(signal.SIGTERM, before)
    return failed


def interrupt(number: int, frame: object) -> None:
    """Let SIGTERM end as Ctrl-C does."""
    raise KeyboardInterrupt


@contextmanager
def alone(output: Path) -> Iterator[None]:
    """Let one process at a time make runs in a folder."""
    output.mkdir(parents=True, exist_ok=True)
    with (output / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"output={output}: another reproduce.py makes runs there; wait for it") from None
        yield
