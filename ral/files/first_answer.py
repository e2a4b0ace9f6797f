"""Folders of evaluations are occupied from their first answer on: a start that fails before it leaves nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ral.files import jsonl, run_folder

SETTINGS = "settings.json"
"""File with the settings that the answers in a folder depend on."""


@contextlib.contextmanager
def occupied_once_answered(folder: Path, answers: str, output: Path) -> Iterator[None]:
    """Make `folder` for the block; where the block ends before an answer is kept, remove what it wrote there.

    answers: name of the file of answers, one a line; those with an `error` are none. output: the folder that this
    process holds, `folder` or the one above it; it stays once an answer is kept. A folder that had settings before the
    block keeps its files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    earlier = (folder / SETTINGS).exists()
    try:
        yield
    finally:
        if earlier or _answered(folder / answers):
            run_folder.begin(output)
        else:
            for name in (SETTINGS, answers):
                (folder / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # output itself holds the lock
                folder.rmdir()


def _answered(path: Path) -> bool:
    """Tell whether a file holds an answer."""
    lines = jsonl.parse(path.read_bytes()) if path.is_file() else ()
    return any(line.value is not None and line.value.get("error") is None for line in lines)
