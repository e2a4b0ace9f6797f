"""The folder of an evaluation counts as used from its first answer on: a start that fails earlier leaves nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ral.files import jsonl, run_folder

SETTINGS = "settings.json"
"""File with the settings that the answers in a folder depend on."""


@contextlib.contextmanager
def occupied_once_answered(folder: Path, answers: str, output: Path) -> Iterator[None]:
    """Make `folder` for the block. Where the block ends before an answer is in it, remove its files and then itself.

    answers: name of the file of answers, JSON lines; lines with an `error` are no answers. The files removed are that
    one and SETTINGS; a folder that had SETTINGS before the block keeps them. output: the folder that this process has
    claimed, `folder` or the one above it; once there is an answer, it is marked as begun (`run_folder.begin`).
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
    """Tell whether the file at `path` holds an answer; False where there is no file."""
    lines = jsonl.parse(path.read_bytes()) if path.is_file() else ()
    return any(line.value is not None and line.value.get("error") is None for line in lines)
