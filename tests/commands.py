"""Runs the project's scripts as a user would, in a fork of the test process, which has imported what they import."""

from __future__ import annotations

import importlib
import os
import runpy
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO, TextIOWrapper
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import pytest
from hydra.core.global_hydra import GlobalHydra

from ral.config.cli import run

ROOT = Path(__file__).parents[1]
POLL_S = 0.02


def call(
    script: str | Path, *arguments: str | Path, folder: Path, timeout: float = 200
) -> subprocess.CompletedProcess[str]:
    """Return what a script of the repository printed and its exit code; for commands that train nothing.

    script: relative to the repository's root. folder: where it is started. timeout: seconds until it is killed.
    A fork does without the seconds of importing torch; it cannot run autograd.
    """
    command = [str(ROOT / script), *map(str, arguments)]
    with TemporaryDirectory() as kept:
        out, err = Path(kept, "out"), Path(kept, "err")
        child = os.fork()
        if child == 0:
            _be(command, folder, out, err)
        code = _ended(child, timeout)
        if code is None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise subprocess.TimeoutExpired(command, timeout, out.read_bytes(), err.read_bytes())
        return subprocess.CompletedProcess(command, code, out.read_text(), err.read_text())


def _ended(child: int, timeout: float) -> int | None:
    """Return the exit code of a child; None where it has not ended in time."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(POLL_S)
    return None


def _be(command: list[str], folder: Path, out: Path, err: Path) -> NoReturn:
    """Become the command: streams, folder, environment, arguments; never return."""
    code = 1
    try:
        for path, number in ((out, 1), (err, 2)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout, sys.stderr = (TextIOWrapper(FileIO(number, "w"), "utf-8", line_buffering=True) for number in (1, 2))
        os.chdir(folder)
        os.environ.pop("RAL_RUN_FOLDER", None)
        os.environ.pop("PYTEST_CURRENT_TEST", None)
        warnings.resetwarnings()
        warnings.simplefilter("ignore")
        GlobalHydra.instance().clear()
        sys.argv = command
        sys.path[:0] = [str(Path(command[0]).parent)]
        runpy.run_path(command[0], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@dataclass(frozen=True)
class Done:
    """What a command left."""

    returncode: int
    stdout: str
    stderr: str


def evaluate_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> Callable[..., Done]:
    """Return a call of evaluate.py in this process and `folder`: one of its own takes seconds to import torch."""
    module = importlib.import_module("evaluate")
    monkeypatch.chdir(folder)

    def call(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["evaluate.py", *arguments])
        code = 0
        try:
            run(module.main, "evaluate", check=module.check)
        except SystemExit as error:
            code = int(error.code or 0)
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return call
