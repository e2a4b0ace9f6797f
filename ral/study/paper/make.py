"""Runs stages one after another, each as a process whose folder goes on where it was interrupted."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence

from rich.console import Console

from ral.errors import UserError
from ral.files import repository
from ral.study.paper.graph import EVALUATE, TRAIN, Graph, Stage
from ral.study.paper.records import record_of, write_record
from ral.study.processes import POLL, QUIET, Process, interrupt, launch, problem_of, stop

PROGRAMS = {TRAIN: str(repository.TRAIN), EVALUATE: str(repository.EVALUATE)}
GRACE = 900.0
"""Seconds that a stopped stage has to finish its step and save it. Ctrl-C once more ends it at once."""
LOOK = 5.0
"""Seconds between looks at a stage's last line, on a terminal."""


def run_stages(
    graph: Graph, chosen: Sequence[Stage], keep_checkpoints: bool, programs: Mapping[str, str] = PROGRAMS
) -> dict[str, str]:
    """Run the chosen stages that are not done; return {stage: why} of those that failed or could not begin.

    keep_checkpoints: whether those of a finished stage stay beside its hf/. programs: the file of each.
    """
    console, failed = Console(stderr=True), dict[str, str]()
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        for number, stage in enumerate(chosen, start=1):
            named = f"{number}/{len(chosen)} {stage.name}"
            if record_of(stage) is not None:
                tell(console, f"{named}: done before")
                continue
            started = time.monotonic()
            problem = unready(graph, stage) or run(graph, stage, named, console, programs)
            failed |= {stage.name: problem} if problem else {}
            if problem is None and not keep_checkpoints:
                shutil.rmtree(stage.folder / "checkpoints", ignore_errors=True)
            tell(console, f"{named}: {problem or f'{time.monotonic() - started:.0f} s'}")
    finally:
        signal.signal(signal.SIGTERM, before)
    return failed


def tell(console: Console, line: str) -> None:
    """Print a line as it is."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def unready(graph: Graph, stage: Stage) -> str | None:
    """Return why a stage cannot begin: the one that it begins with is not done."""
    earlier = next((s for s in graph.stages if s.name == stage.begins), None)
    if earlier is None or record_of(earlier) is not None:
        return None
    return f"not run: it begins with {earlier.name}, which is not done"


def run(graph: Graph, stage: Stage, named: str, console: Console, programs: Mapping[str, str]) -> str | None:
    """Run a stage to its end and record it as done; return why it failed otherwise."""
    on_cpu = any(setting in ("hardware=cpu", "device=cpu") for setting in stage.settings)
    log = graph.places.output / "logs" / f"{stage.name}.log"
    process = launch([sys.executable, programs[stage.program], *stage.command], log, QUIET if on_cpu else {})
    try:
        wait(process, named, console)
    except BaseException:
        leave(process)
        raise
    if problem := problem_of(process):
        return f"{problem} ({log} has its output)"
    write_record(stage, graph, process.seconds)
    return None


def wait(process: Process, named: str, console: Console) -> None:
    """Wait for the end of a stage; a terminal shows the last line of its output meanwhile."""
    tell(console, f"{named}: runs, its output is in {process.path}")
    with console.status(named) if console.is_terminal else _nothing() as shown:
        looked = time.monotonic()
        while not process.ended:
            time.sleep(POLL)
            if shown is not None and time.monotonic() - looked > LOOK:
                looked = time.monotonic()
                lines = process.path.read_text(errors="replace").strip().splitlines()
                shown.update(f"{named}: {lines[-1][:100] if lines else ''}")


def leave(process: Process) -> None:
    """Let a stage save what it has, then end; at once where Ctrl-C comes again."""
    try:
        stop([process], GRACE)
    except KeyboardInterrupt:
        if not process.ended:
            os.killpg(process.process.pid, signal.SIGKILL)
            process.process.wait()
        raise


class _nothing:
    """Stand for a status that is not shown."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def refuse_failed(failed: Mapping[str, str]) -> None:
    """Raise UserError where stages failed."""
    if failed:
        names = ", ".join(failed)
        raise UserError(f"{len(failed)} stages are not done ({names}); the same command goes on with them")
