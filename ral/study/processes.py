"""Commands as processes with a log file each: stopped with all processes that they started, judged by their exit."""

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
"""Environment of runs: one thread each, since threads of parallel runs would wait for each other."""
POLL = 0.2  # seconds between looks at the runs
GRACE = 10.0  # seconds that a stopped run has to leave


@dataclass
class Process:
    """A command that was started. path, log: the file to which its output and errors are written.

    started: time.monotonic() at the start.
    """

    process: subprocess.Popen[bytes]
    path: Path
    log: TextIO
    started: float

    @property
    def seconds(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self.started

    @property
    def ended(self) -> bool:
        """Tell whether the process has ended."""
        return self.process.poll() is not None


def launch(command: Sequence[str], log: Path, more: Mapping[str, str] = QUIET) -> Process:
    """Start a command in a process group of its own. log: file for its output. more: further environment variables."""
    log.parent.mkdir(parents=True, exist_ok=True)
    file = log.open("w")
    environment = {k: v for k, v in os.environ.items() if k != "RAL_RUN_FOLDER"} | dict(more)
    process = subprocess.Popen(
        command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
    )
    return Process(process, log, file, time.monotonic())


def stop(running: Sequence[Process], grace: float = GRACE) -> None:
    """End the commands and all processes that they started, and close their logs.

    grace: seconds that they have after SIGTERM to end by themselves, before SIGKILL.
    """
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
    """Return why a command that has ended failed, as the last error line of its log; None for exit code 0."""
    run.log.close()
    return (last_error(run.path) or f"exit code {run.process.returncode}") if run.process.returncode else None


def last_error(log: Path) -> str:
    """Return the log's last line that begins with `error:`, else its last line with text; "" for an empty log."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or [""])[-1]


def commit_of(folder: Path) -> str:
    """Return the commit in a run's environment.json; "unknown" where there is no such file or no commit in it."""
    path = folder / "environment.json"
    return str(json.loads(path.read_text()).get("commit", "unknown")) if path.is_file() else "unknown"


def mark(path: Path, facts: Mapping[str, Any]) -> None:
    """Write the facts as JSON into the file that marks a run as done; a rename keeps it from being there in part."""
    draft = path.with_name(f".{path.name}")
    draft.write_text(json.dumps(facts, indent=1) + "\n")
    draft.replace(path)


def interrupt(number: int, frame: object) -> None:
    """Raise KeyboardInterrupt. As handler of SIGTERM it makes that signal end the program like Ctrl-C."""
    raise KeyboardInterrupt


@contextmanager
def alone(output: Path) -> Iterator[None]:
    """Hold the lock of a folder, so that only one process at a time makes runs there.

    UserError where another process holds the lock.
    """
    output.mkdir(parents=True, exist_ok=True)
    with (output / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"output={output}: another process makes runs there; wait for it") from None
        yield
