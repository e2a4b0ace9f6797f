"""Programs started outside the project's environment: one line that says how to enter it, and no traceback."""

from __future__ import annotations

from ral.installed import problem

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

BY_ITSELF = {"installed.py", "vllm_environment.py"}
"""Of scripts/: what the others import; what `make vllm` starts to say what an environment lacks."""
PROGRAMS = ["train.py", "evaluate.py", *(f"scripts/{path.name}" for path in sorted((ROOT / "scripts").glob("*.py")))]


@pytest.mark.parametrize("program", [name for name in PROGRAMS if Path(name).name not in BY_ITSELF])
def test_a_program_without_its_packages_says_how_to_enter_the_environment(tmp_path: Path, program: str) -> None:
    """-S leaves site-packages out, as in a Python of another environment; -E what PYTHONPATH names."""
    path = (ROOT / program).resolve()  # as Python takes it
    root = path.parents[len(Path(program).parts) - 1]
    command = [sys.executable, "-S", "-E", str(path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and not done.stdout
    assert line.startswith(f"error: the package hydra is not installed for {sys.executable}: ")
    assert line.endswith(f"`source {root}/.venv/bin/activate`") and "environment" in line


def test_what_is_typed_follows_from_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without .venv, or inside one that lacks packages: make setup. Else: enter it. In the checkout the short path."""
    venv = tmp_path / ".venv"
    make = f"`make setup` in {tmp_path}, then `source {venv}/bin/activate`"
    assert (problem(["torch"], (3, 11), tmp_path, tmp_path) or "").endswith(make)
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").touch()
    assert (problem(["torch"], (3, 11), tmp_path, venv) or "").endswith(make)
    assert (problem([], (3, 9), tmp_path, tmp_path) or "").startswith("Python 3.9 is older than 3.11: enter the")
    monkeypatch.chdir(tmp_path)
    assert (problem(["torch"], (3, 11), tmp_path, tmp_path) or "").endswith("first, `source .venv/bin/activate`")
    assert problem([], (3, 11), tmp_path, tmp_path) is None
