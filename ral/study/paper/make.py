"""Stages run in order, each as a process that resumes where it was interrupted; several evaluations may run at once."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from ral.errors import UserError
from ral.files import repository
from ral.study.paper.graph import EVALUATE, TRAIN, Graph, Stage
from ral.study.paper.records import record_of, write_record
from ral.study.processes import POLL, QUIET, Process, interrupt, launch, problem_of, stop

PROGRAMS = {TRAIN: str(repository.TRAIN), EVALUATE: str(repository.EVALUATE)}
GRACE = 900.0
"""Seconds that a stopped stage has to finish its step and save it. A second Ctrl-C ends it at once."""
LOOK = 5.0
"""Seconds between updates of the status line, on a terminal."""
ON_CPU = ("hardware=cpu", "device=cpu")
"""Settings that mark a stage as one for the CPU; its process uses one thread."""


@dataclass(frozen=True)
class Ways:
    """Settings for running stages.

    keep_checkpoints: whether a finished stage keeps its checkpoints beside its model (hf/). cards: number of
    evaluations that run at once, each on a GPU of its own. programs: {program: its file}.
    """

    keep_checkpoints: bool = False
    cards: int = 1
    programs: Mapping[str, str] = field(default_factory=lambda: PROGRAMS)


@dataclass(frozen=True)
class Running:
    """A stage whose process is at work.

    card: index of the place that it takes; of several evaluations on GPUs also the index of its GPU.
    """

    stage: Stage
    process: Process
    card: int


class Runner:
    """Runner of the chosen stages of a graph. failed: {stage: why}, of stages that failed or could not begin."""

    def __init__(self, graph: Graph, chosen: Sequence[Stage], ways: Ways) -> None:
        self.graph, self.chosen, self.ways = graph, chosen, ways
        self.console = Console(stderr=True)
        self.waiting, self.running, self.failed = list(chosen), list[Running](), dict[str, str]()

    def __call__(self) -> dict[str, str]:
        """Run all chosen stages; return `failed`.

        After an interruption, stages at work save their state before they end.
        """
        looked = time.monotonic()
        try:
            with self.console.status("") if self.console.is_terminal else nullcontext() as shown:
                while self.waiting or self.running:
                    self._begin()
                    self._end()
                    if shown is not None and time.monotonic() - looked > LOOK:
                        looked = time.monotonic()
                        shown.update("; ".join(map(last_line, self.running)))
        except BaseException:
            leave([run.process for run in self.running])
            raise
        return self.failed

    def _begin(self) -> None:
        """Start the next stages: a training stage alone, evaluations up to the number of cards."""
        while self.waiting and self._has_room(self.waiting[0]):
            stage = self.waiting.pop(0)
            if record_of(stage) is not None:
                self._tell(stage, "done before")
            elif problem := unready(self.graph, stage):
                self._failed(stage, problem)
            else:
                self._start(stage)

    def _has_room(self, stage: Stage) -> bool:
        alone = stage.program == TRAIN or any(run.stage.program == TRAIN for run in self.running)
        return len(self.running) < (1 if alone else self.ways.cards)

    def _start(self, stage: Stage) -> None:
        taken = {run.card for run in self.running}
        card = next(n for n in range(self.ways.cards) if n not in taken)
        on_cpu = any(setting in ON_CPU for setting in stage.settings)
        several = stage.program == EVALUATE and self.ways.cards > 1 and not on_cpu
        command = [
            sys.executable,
            self.ways.programs[stage.program],
            *stage.command,
            *([f"device=cuda:{card}"] * several),
        ]
        log = self.graph.places.output / "logs" / f"{stage.name}.log"
        self.running.append(Running(stage, launch(command, log, QUIET if on_cpu else {}), card))
        self._tell(stage, f"runs, its output is in {log}")

    def _end(self) -> None:
        """Wait a moment, then record the stages that have ended and remove the checkpoints of those that succeeded."""
        if self.running:
            time.sleep(POLL)
        for run in [run for run in self.running if run.process.ended]:
            self.running.remove(run)
            if problem := problem_of(run.process):
                self._failed(run.stage, f"{problem} ({run.process.path} has its output)")
                continue
            write_record(run.stage, self.graph, run.process.seconds)
            if not self.ways.keep_checkpoints:
                shutil.rmtree(run.stage.folder / "checkpoints", ignore_errors=True)
            self._tell(run.stage, f"{run.process.seconds:.0f} s")

    def _failed(self, stage: Stage, problem: str) -> None:
        self.failed[stage.name] = problem
        self._tell(stage, problem)

    def _tell(self, stage: Stage, what: str) -> None:
        line = f"{self.chosen.index(stage) + 1}/{len(self.chosen)} {stage.name}: {what}"
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def run_stages(graph: Graph, chosen: Sequence[Stage], ways: Ways) -> dict[str, str]:
    """Run the chosen stages that are not done, and end like Ctrl-C at SIGTERM.

    Return {stage: why} of the stages that failed or could not begin.
    """
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        return Runner(graph, chosen, ways)()
    finally:
        signal.signal(signal.SIGTERM, before)


def unready(graph: Graph, stage: Stage) -> str | None:
    """Return why a stage cannot begin; None where it can.

    The only reason is that the stage it starts from is not done.
    """
    earlier = next((s for s in graph.stages if s.name == stage.begins), None)
    if earlier is None or record_of(earlier) is not None:
        return None
    return f"not run: it begins with {earlier.name}, which is not done"


def last_line(run: Running) -> str:
    """Return "name: line" of a stage: its name and the last line that it printed, at most 100 characters of it."""
    lines = run.process.path.read_text(errors="replace").strip().splitlines()
    return f"{run.stage.name}: {lines[-1][:100] if lines else ''}"


def leave(running: Sequence[Process]) -> None:
    """Stop the stages, which have GRACE seconds to save their state; kill them at a second Ctrl-C."""
    try:
        stop(running, GRACE)
    except KeyboardInterrupt:
        for run in running:
            if not run.ended:
                os.killpg(run.process.pid, signal.SIGKILL)
                run.process.wait()
        raise


def refuse_failed(failed: Mapping[str, str], folder: Path) -> None:
    """Raise UserError where stages failed. failed: {stage: why}. folder: folder of the page, for the message."""
    if failed:
        done = f"{folder} holds the page of what is done; the same command goes on with the others"
        raise UserError(f"stages that are not done: {', '.join(failed)}; {done}")
