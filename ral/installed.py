"""Ends a program, when it is imported, with one line where this Python lacks what the program imports.

Every program imports it before all else. Needs the standard library alone, and no syntax of a newer Python.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

NEEDED = ("hydra", "omegaconf", "torch", "lightning", "transformers", "PIL", "rich")
"""Packages that programs import first."""
OLDEST = (3, 11)
"""The first Python that `pyproject.toml` takes."""
ROOT = Path(__file__).resolve().parents[1]


def missing() -> list[str]:
    """Return those of NEEDED that this Python does not find."""
    return [name for name in NEEDED if find_spec(name) is None]


def problem(lacking: Collection[str], version: tuple[int, ...], root: Path, prefix: Path) -> str | None:
    """Return a line that says what is wrong and what to type; None where nothing is wrong.

    lacking: packages that were not found. version: (major, minor) of this Python. root: folder of the checkout, in
    which .venv may be. prefix: folder of the environment that this Python belongs to.
    """
    if not lacking and version >= OLDEST:
        return None
    old = f"Python {version[0]}.{version[1]} is older than {OLDEST[0]}.{OLDEST[1]}"
    what = old if version < OLDEST else f"the package {next(iter(lacking))} is not installed for {sys.executable}"
    venv = root / ".venv"
    here = Path(os.path.relpath(venv)) if Path.cwd() == root else venv
    enter = f"source {here}/bin/activate"
    if (venv / "bin" / "python").exists() and prefix.resolve() != venv.resolve():
        return f"{what}: enter the environment first, `{enter}`"
    return f"{what}: make the environment and enter it, `make setup` in {root}, then `{enter}`"


if line := problem(missing(), sys.version_info[:2], ROOT, Path(sys.prefix)):
    sys.exit(f"error: {line}")
