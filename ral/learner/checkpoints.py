"""Files of a checkpoint: writing under another name, renaming once they are complete, finding, verifying, reading."""

from __future__ import annotations

import os
import re
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from ral.errors import UserWarned
from ral.learner.shards import checksum
from ral.types import UserError

FILE, CHECKSUM = "state.pt", "sha256"
EXPORTED = ("hf", "adapter")
"""Folders of a run with the exported model or adapter, which hold no training state."""
CONFIG = "config"
"""Key of a checkpoint's configuration, as yaml; checkpoints of earlier versions have none."""
CONTENTS = "contents"
"""Key of the hashes of the data and models that a run was given; checkpoints of earlier versions have none."""
PARTIAL = "partial_"
"""Prefix of the name of a checkpoint folder that is being written."""


def save(state: dict[str, Any], folder: Path, sums: Mapping[str, str] | None = None) -> None:
    """Write a checkpoint folder with state.pt and checksums; a former folder of this name is replaced.

    The folder gets its name only when all is on disk. sums: {name: SHA-256} of the shards that `aside_of(folder)` holds
    already; None where weights are in `state`. UserError where writing fails (a full disk, say); other checkpoints
    stay.
    """
    aside = aside_of(folder)
    try:
        if not sums:
            shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True, exist_ok=True)
        with (aside / FILE).open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        sums = {FILE: checksum(aside / FILE), **(sums or {})}
        (aside / CHECKSUM).write_text("".join(f"{value}  {name}\n" for name, value in sums.items()))
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(aside, folder)
    except (OSError, RuntimeError) as error:
        raise not_written(folder, error) from error


def aside_of(folder: Path) -> Path:
    """Return the path at which a checkpoint folder is written before it gets its name."""
    return folder.with_name(PARTIAL + folder.name)


def not_written(folder: Path, error: Exception) -> UserError:
    """Remove the remains of a checkpoint that could not be written, and return the UserError to raise."""
    shutil.rmtree(aside_of(folder), ignore_errors=True)
    return UserError(
        f"{folder}: the checkpoint cannot be written ({error}); those before it are whole: "
        "free some space and go on with resume=auto"
    )


def step_of(folder: Path) -> int:
    """Return the step in the name of a checkpoint folder, step_<number>."""
    return int(folder.name.removeprefix("step_"))


def saved(root: Path) -> list[Path]:
    """Return the checkpoint folders under `root`, oldest first."""
    return sorted((p.parent for p in root.glob(f"step_*/{FILE}")), key=step_of)


def whole(folder: Path) -> bool:
    """Tell whether a checkpoint is intact: its checksums fit. A checkpoint of version 0.1.0 has none and passes."""
    own = folder / CHECKSUM
    lines = [line.split(maxsplit=1) for line in own.read_text().splitlines()] if own.is_file() else []
    sums = {(rest[0] if rest else FILE): value for value, *rest in lines}
    return all((folder / name).is_file() and checksum(folder / name) == value for name, value in sums.items())


def newest(root: Path) -> Path | None:
    """Return the newest intact checkpoint folder under `root`; None where there is no checkpoint.

    Warn of newer damaged ones. UserError where all are damaged: a run should not silently begin again.
    """
    found = saved(root)
    for folder in reversed(found):
        if whole(folder):
            return folder
        warnings.warn(
            f"{folder}: the checkpoint is damaged (its checksum does not fit): passed over", UserWarned, stacklevel=2
        )
    if found:
        raise UserError(f"resume=auto: every checkpoint in {root} is damaged; remove them to begin again")
    return None


def verified(folder: Path, key: str = "resume=") -> Path:
    """Return `folder`. UserError where it is no checkpoint folder, or is damaged.

    key: the setting with which messages begin, such as "resume="; "" where no setting names the folder.
    """
    if not (folder / FILE).is_file():
        if inside := next((above for above in list(folder.parents)[:2] if above in saved(above.parent)), None):
            raise UserError(f"{key}{folder}: a checkpoint is named by its folder: write {key}{inside}")
        exported = folder.name in EXPORTED and saved(folder.parent / "checkpoints")
        if steps := saved(folder / "checkpoints") or saved(folder) or exported:
            what = "the model that a run wrote" if exported else "the folder of some"
            raise UserError(f"{key}{folder}: that is no checkpoint but {what}: write {key}{steps[-1]}")
        if beside := saved(folder.parent):
            number = re.sub(r"\D", "", folder.name)
            near = [step for step in beside if number and step_of(step) == int(number)]
            raise UserError(f"{key}{folder}: no such checkpoint folder; write {key}{(near or beside)[-1]}")
        auto = f"{key}auto or " if key else ""
        raise UserError(f"{key}{folder}: no such checkpoint folder; write {auto}outputs/.../checkpoints/step_N")
    if not whole(folder):
        raise UserError(f"{key}{folder}: it is damaged (its checksum does not fit); name another checkpoint folder")
    return folder


def read(folder: Path) -> dict[str, Any]:
    """Return the dict that `save` wrote to a checkpoint folder, on the CPU. UserError where it cannot be read."""
    remedy = "name another checkpoint folder"
    try:
        return torch.load(folder / FILE, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, EOFError, ValueError, UnpicklingError) as error:
        raise UserError(f"resume: {folder / FILE} cannot be read ({error}); {remedy}") from error
