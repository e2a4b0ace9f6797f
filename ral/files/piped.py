"""Processes of this Python beside the run's own, spoken to through pipes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

END_S = 5.0
"""Seconds that an ended process may take to be gone."""


def calling(function: str) -> tuple[str, ...]:
    """Return the command that calls a function of ours, such as "ral.data.decoder.main"."""
    module, _, name = function.rpartition(".")
    return (sys.executable, "-P", "-c", f"from {module} import {name}; {name}()")


def start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a process that finds the modules that this one finds, with pipes for its input and output.

    It takes no Ctrl-C: that is for the run, which finishes its step.
    """
    folders = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": folders},
        start_new_session=True,
    )


def close(process: subprocess.Popen[bytes]) -> None:
    """Close the pipes of a process, which may be gone."""
    for stream in (process.stdin, process.stdout):
        with suppress(OSError):  # what could not be sent to a dead process
            stream.close()  # type: ignore[union-attr]


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and wait for its end. One that waits for a disk ends when the disk answers; it is left then."""
    process.kill()
    close(process)
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_S)
