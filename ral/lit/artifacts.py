"""W&B artifacts: files of a run that are uploaded on request, and the copies that W&B stages for the upload."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ral.types import UserError

OFFLINE = "offline-run-*"
"""Pattern of the folders of offline runs, below wandb/."""
OWN_DATA = "RAL_WANDB_DATA"
"""Environment variable that holds the WANDB_DATA_DIR that keep_beside chose, for the next run of a sweep."""
SYNCED = "*.wandb.synced"
"""Pattern of the file by which W&B marks an offline run as uploaded."""


def report_of(folder: Path) -> Path:
    """Return the path of a run's report."""
    return folder / "report.html"


def exported_of(folder: Path) -> Path:
    """Return the path of a run's exported model."""
    return folder / "hf"


def best_of(folder: Path) -> Path:
    """Return the checkpoint folder that best.json names; the path of best.json where there is no such file."""
    named = folder / "checkpoints" / "best.json"
    return named.parent / f"step_{json.loads(named.read_text())['step']:06d}" if named.is_file() else named


KINDS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "report": ("report", report_of),
    "hf": ("model", exported_of),
    "best": ("checkpoint", best_of),
}
"""Name in logger.wandb.artifacts -> (W&B's type of the artifact, function that finds it in the run's folder)."""


def checked(names: Iterable[str]) -> tuple[str, ...]:
    """Return `names`, names of artifacts, as a tuple. UserError for a name that KINDS lacks, and for a plain text."""
    choice = f"write a list of {', '.join(KINDS)}, such as logger.wandb.artifacts=[report,hf]"
    if isinstance(names, str):
        raise UserError(f"logger.wandb.artifacts={names}: {choice}")
    found = tuple(names)
    if wrong := [name for name in found if name not in KINDS]:
        raise UserError(f"logger.wandb.artifacts: no artifact is called {wrong[0]!r}: {choice}")
    return found


def artifact(name: str, run: str, folder: Path) -> Any:
    """Return the W&B artifact `<name>-<run>` of the run's folder. name: key of KINDS; run: id of the W&B run.

    No file is copied. FileNotFoundError where the folder lacks the file or folder of that name.
    """
    import wandb

    kind, where = KINDS[name]
    path = where(folder)
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    made = wandb.Artifact(f"{name}-{run}", type=kind)
    if path.is_dir():
        made.add_dir(str(path), skip_cache=True, policy="immutable")
    else:
        made.add_file(str(path), skip_cache=True, policy="immutable")
    return made


def waiting(wandb_folder: Path) -> Iterator[Path]:
    """Yield the folders of the offline runs in `wandb_folder` (a folder wandb/) that are not uploaded yet."""
    return (run for run in wandb_folder.glob(OFFLINE) if run.is_dir() and not any(run.glob(SYNCED)))


def unstage(wandb_folder: Path) -> None:
    """Remove the copies that W&B made of tables and their images, unless an offline run still has to upload them.

    Empty folders for copies of code are removed too.
    """
    if next(waiting(wandb_folder), None) is None:
        shutil.rmtree(wandb_folder / "artifacts", ignore_errors=True)
    for empty in (*wandb_folder.glob("*run-*/tmp/code"), *wandb_folder.glob("*run-*/tmp")):
        with contextlib.suppress(OSError):
            empty.rmdir()


def keep_beside(folder: Path) -> None:
    """Set WANDB_DATA_DIR, where wandb stages tables, to `folder`/wandb; a value that the user has set stays."""
    if os.environ.get("WANDB_DATA_DIR") == os.environ.get(OWN_DATA):
        os.environ["WANDB_DATA_DIR"] = os.environ[OWN_DATA] = str(folder / "wandb")


def kept_beside() -> bool:
    """Tell whether WANDB_DATA_DIR is the folder that keep_beside chose."""
    return OWN_DATA in os.environ and os.environ.get("WANDB_DATA_DIR") == os.environ[OWN_DATA]


def unstage_own() -> None:
    """Remove the staged copies in the folder that keep_beside chose; in a folder of the user, remove nothing."""
    if kept_beside():
        unstage(Path(os.environ["WANDB_DATA_DIR"]))
