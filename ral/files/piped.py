"""Further Python processes beside the run's own, with pipes to them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

END_S = 5.0
"""Seconds to wait for a killed process to end."""


def calling(function: str) -> tuple[str, ...]:
    """Return the command that calls a function of this package, such as "ral.data.decoder.main", in a new process."""
    module, _, name = function.rpartition(".")
    return (sys.executable, "-P", "-c", f"from {module} import {name}; {name}()")


def start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a process with this one's import path, and pipes for its input and output.

    Ctrl-C does not reach the new process, since a run that gets one finishes its step.
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
    """Close the pipes to a process, which may have ended already."""
    for stream in (process.stdin, process.stdout):
        with suppress(OSError):  # what could not be sent to a dead process
            stream.close()  # type: ignore[union-attr]


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and wait up to END_S for its end. A process that hangs on a disk ends later, when the disk
    answers.
    """
    process.kill()
    close(process)
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_S)
