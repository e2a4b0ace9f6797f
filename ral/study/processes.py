"""Runs as processes of their own: started with a log, stopped with all that they started, judged by how they end."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from ral.errors import UserError
from ral.study.plan import THREADS

QUIET = {"OMP_NUM_THREADS": THREADS, "OMP_WAIT_POLICY": "passive"}
"""One thread a run: threads of runs side by side would wait for each other."""
POLL = 0.2  # seconds between looks at the runs
GRACE = 10.0  # seconds that a stopped run has to leave


@dataclass
class Process:
    """A command under way, its output and errors in a file. started: by the monotonic clock."""

    process: subprocess.Popen[bytes]
    path: Path
    log: TextIO
    started: float

    @property
    def seconds(self) -> float:
        """Return the seconds since its start."""
        return time.monotonic() - self.started

    @property
    def ended(self) -> bool:
        """Tell whether it has ended."""
        return self.process.poll() is not None


def launch(command: Sequence[str], log: Path, more: Mapping[str, str] = QUIET) -> Process:
    """Start a command in a process group of its own. more: variables of its environment."""
    log.parent.mkdir(parents=True, exist_ok=True)
    file = log.open("w")
    environment = {k: v for k, v in os.environ.items() if k != "RAL_RUN_FOLDER"} | dict(more)
    process = subprocess.Popen(
        command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
    )
    return Process(process, log, file, time.monotonic())


def stop(running: Sequence[Process], grace: float = GRACE) -> None:
    """End commands and what they have started. grace: seconds that they have to leave."""
    left = [run for run in running if not run.ended]
    for run in left:
        os.killpg(run.process.pid, signal.SIGTERM)
    for run in left:
        try:
            run.process.wait(grace)
        except subprocess.TimeoutExpired:
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.wait()
    for run in running:
        run.log.close()


def problem_of(run: Process) -> str | None:
    """Return why a command that has ended failed; None where it left with 0."""
    run.log.close()
    return (last_error(run.path) or f"exit code {run.process.returncode}") if run.process.returncode else None


def last_error(log: Path) -> str:
    """Return the last line that begins with `error:`, else the last line that says something."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or [""])[-1]


def commit_of(folder: Path) -> str:
    """Return the commit that a run says it is of."""
    path = folder / "environment.json"
    return str(json.loads(path.read_text()).get("commit", "unknown")) if path.is_file() else "unknown"


def mark(path: Path, facts: Mapping[str, Any]) -> None:
    """Write the file that says that a run is done, whole or not at all."""
    draft = path.with_name(f".{path.name}")
    draft.write_text(json.dumps(facts, indent=1) + "\n")
    draft.replace(path)


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
            raise UserError(f"output={output}: another process makes runs there; wait for it") from None
        yield
