"""Cells of scripts/reproduce.py, several run at once: each is train.py in a process, marked as done at its end."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ral.files import repository
from ral.study.plan import DONE, Cell, command_line, evaluated, run_directory
from ral.study.processes import POLL, Process, commit_of, interrupt, launch, mark, problem_of, stop

TRAIN = (sys.executable, str(repository.TRAIN))


def command_of(cell: Cell, train: Sequence[str] = TRAIN) -> list[str]:
    """Return the command that runs a cell. train: the training program, as a command."""
    return [*train, *cell.overrides, f"seed={cell.seed}", run_directory(cell.folder)]


@dataclass
class Running:
    """A cell and the process that runs it."""

    cell: Cell
    process: Process


def log_of(cell: Cell) -> Path:
    """Return the file that holds the output of a cell's run; it is removed when the run succeeds."""
    return cell.folder.with_suffix(".log")


def start(cell: Cell, train: Sequence[str]) -> Running:
    """Start a cell's run after removing the files of an earlier, unfinished one.

    train: the training program, as a command.
    """
    shutil.rmtree(cell.folder, ignore_errors=True)
    return Running(cell, launch(command_of(cell, train), log_of(cell)))


def finish(run: Running) -> str | None:
    """Mark a run that has ended as done, remove its checkpoints and the weights not to be kept; return None.

    Where the run failed, or has no evaluation at its last step, only return the reason.
    """
    cell = run.cell
    if problem := problem_of(run.process):
        return problem
    if not evaluated(cell.folder):
        return "it left with 0 but has no evaluation at its last step"
    for part in ("checkpoints", *(() if cell.keep_weights else ("hf",))):
        shutil.rmtree(cell.folder / part, ignore_errors=True)
    log_of(cell).unlink()
    facts = {
        "seconds": round(run.process.seconds, 1),
        "commit": commit_of(cell.folder),
        "command": command_line(cell.overrides, cell.seed, cell.folder),
    }
    mark(cell.folder / DONE, facts)
    return None


class Bar:
    """Progress bar with the time left, from the mean seconds of the cells so far.

    Without a terminal it prints lines.
    """

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
        """Return the time left in words. One cell at least must have ended."""
        seconds = sum(self.ended) / len(self.ended) * (self.total - len(self.ended)) / self.processes
        return f"about {seconds / 60:.0f} min left" if seconds > 90 else f"about {seconds:.0f} s left"

    def end(self, run: Running, problem: str | None) -> None:
        """Count a run that has ended; print a line for it where it failed, or where there is no terminal.

        problem: why the run failed; None where it succeeded.
        """
        seconds = run.process.seconds
        self.ended.append(seconds)
        self.bar.update(self.task, advance=1, description=self.left())
        line = f"{len(self.ended)}/{self.total} {run.cell.name}: " + (problem or f"{seconds:.0f} s, {self.left()}")
        if problem or not self.console.is_terminal:
            self.bar.console.print(line, markup=False, highlight=False, soft_wrap=True)


def run_cells(
    todo: Sequence[Cell], processes: int, train: Sequence[str] = TRAIN, console: Console | None = None
) -> dict[str, str]:
    """Run cells, `processes` at once; return {cell: why it failed}. Ctrl-C or SIGTERM ends the runs at work.

    train: the training program, as a command. console: where progress is shown; None: stderr.
    """
    waiting, running, failed = list(todo), list[Running](), dict[str, str]()
    before = signal.signal(signal.SIGTERM, interrupt)
    bar = Bar(len(todo), processes, console or Console(stderr=True))
    try:
        with bar.bar:
            while waiting or running:
                while waiting and len(running) < processes:
                    running.append(start(waiting.pop(0), train))
                time.sleep(POLL)
                for run in [r for r in running if r.process.ended]:
                    running.remove(run)
                    problem = finish(run)
                    failed |= {run.cell.name: problem} if problem else {}
                    bar.end(run, problem)
    finally:
        stop([run.process for run in running])
        signal.signal(signal.SIGTERM, before)
    return failed
