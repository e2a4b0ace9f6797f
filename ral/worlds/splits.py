"""Writing a split of a made dataset to a folder: media, then the JSON, then the settings that it was made with.

A split that exists with the same settings is left as it is; one with other settings is made anew. The settings file is
written last, so that a split left unfinished is noticed. One process makes a split while others wait.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from ral.types import UserError
from ral.worlds.root import check_root

QUIET_BELOW = 300  # entries made without a progress bar
Draw = Callable[[Path], None]


@dataclass(frozen=True)
class Split:
    """A split to be made.

    world: name of the dataset, for messages. settings: everything that fixes the split's bytes, as JSON values. entry:
    a function from the number of an entry (from 0) to (function that draws its medium to a path, its JSON object, whose
    field `path` is that path below the root).
    """

    world: str
    name: str
    size: int
    settings: Mapping[str, Any]
    entry: Callable[[int], tuple[Draw, dict[str, Any]]]


def write_split(root: Path, split: Split) -> Path:
    """Make a split below `root` unless it exists with the same settings; return its JSON file.

    UserError where the folder may not be used (`check_root`) or cannot be written.
    """
    check_root(root, split.world)
    target, stamp = root / f"{split.name}.json", root / f"{split.name}.settings.json"
    wanted = json.dumps(split.settings, indent=2, sort_keys=True) + "\n"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root / f".{split.name}.lock"):
            if not _is_whole(root, split, wanted):
                stamp.unlink(missing_ok=True)
                _build(root, split)
                _write_atomically(stamp, wanted)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{split.world}: cannot write to {root}: {reason}; write another root") from error
    return target


def _write_atomically(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)


def _is_whole(root: Path, split: Split, wanted: str) -> bool:
    """Tell whether a split exists with the settings `wanted` and with all of its media."""
    target, stamp = root / f"{split.name}.json", root / f"{split.name}.settings.json"
    if not (target.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted):
        return False
    media = root / "media" / split.name
    return media.is_dir() and sum(1 for _ in os.scandir(media)) >= split.size


def _build(root: Path, split: Split) -> None:
    """Draw every entry of a split and write its JSON, one entry a line. An exception midway leaves no media."""
    folder = root / "media" / split.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        _write(root, split)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _write(root: Path, split: Split) -> None:
    """Write the media of a split, then its JSON."""
    title, quiet = f"making {split.world} {split.name}", split.size < QUIET_BELOW
    lines = []
    for index in track(range(split.size), title, console=Console(stderr=True), disable=quiet, transient=True):
        draw, entry = split.entry(index)
        draw(root / entry["path"])
        lines.append(json.dumps(entry))
    _write_atomically(root / f"{split.name}.json", "[\n" + ",\n".join(lines) + "\n]\n")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time make a split; the others wait and then find it made."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
