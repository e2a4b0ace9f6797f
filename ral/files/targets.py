"""Checks of the files and folders that a person names for a script's output: nothing there is overwritten unawares."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ral.errors import UserError

OVERWRITE = "--overwrite"
HELP = "write over what is there already"
"""Description of the flag OVERWRITE in --help."""


def check_free(targets: Iterable[Path], told: bool, typed: str = "--output", flag: str = OVERWRITE) -> None:
    """Raise UserError where one of `targets` exists and would be written over. An empty folder is free.

    told: True where the user asked to write over them, which makes all free. typed: the setting that names the targets;
    flag: what to add to write over them.
    """
    there = None if told else next((path for path in targets if _occupied(path)), None)
    if there is not None:
        what = "is not empty" if there.is_dir() else "is there already"
        raise UserError(f"{there} {what} and would be written over: name another {typed}, or add {flag}")


def _occupied(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists() or path.is_symlink()


def check_apart(target: Path, inputs: Iterable[Path | None], typed: str = "--output") -> None:
    """Raise UserError where `target` is one of the inputs, which no flag allows to write over.

    inputs: None stands for no file. typed: the setting that names the target.
    """
    for path in inputs:
        if path is not None and path.exists() and target.exists() and target.samefile(path):
            raise UserError(f"{target} is read and would be written over: name another {typed}")


def check_own(folder: Path, marks: Collection[str], typed: str = "--output") -> None:
    """Raise UserError unless a folder that is to be emptied is new, is empty, or holds one of `marks`.

    marks: names of files or folders which show that the script wrote the folder itself. typed: the setting that names
    the folder.
    """
    if _occupied(folder) and not (folder.is_dir() and any((folder / name).exists() for name in marks)):
        raise UserError(f"{folder} is not of this script's making and would be emptied: name another {typed}")


@contextmanager
def replacing(output: Path) -> Iterator[Path]:
    """Give a folder to write to; after the block its folders take their places below `output`, former ones go.

    An exception in the block leaves `output` as it was.
    """
    aside = output / f".writing_{os.getpid()}"
    try:
        aside.mkdir(parents=True)
        yield aside
        for made in aside.iterdir():
            shutil.rmtree(output / made.name, ignore_errors=True)
            os.replace(made, output / made.name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
