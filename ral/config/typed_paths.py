"""Paths on a command line: `~` is the home, and a shell variable that no shell has replaced is an error."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ral.errors import UserError

NAMES = frozenset(
    {
        *("path", "pretrained", "resume", "checkpoint", "output", "unpacked", "cache", "disk_cache", "folder", "dir"),
        *("media_root", "teacher"),
    }
)
"""Last parts of keys that name a file or folder; so does one that ends in one of ENDINGS."""
ENDINGS = ("_path", "_root", "_dir", "_folder")
ALONE = frozenset({"image", "video", "run"})
"""Keys that name a file or folder where they stand at the top: further down they name something else."""
NAME_BYTES = 255
"""Bytes that a file system takes in the name of one file or folder."""
COLUMNS = ".columns."
_HOME = re.compile(r"(?<=[=,\[\"'])~[\w.-]*(?=[/,\]\"']|$)")
_VARIABLE = re.compile(r"(?:^|/)\$([A-Za-z_]\w*)")


def with_home(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the home in place of `~` in front of paths, also of each path of a list or sweep.

    UserError for a path that is empty, for one with a part longer than NAME_BYTES, and for one that does not exist and
    has a part beginning with a shell variable.
    """
    return [_one(argument) if names_path(argument.partition("=")[0]) else argument for argument in arguments]


def names_path(key: str) -> bool:
    """Tell whether the value of a key, as it is typed, is a path."""
    plain = key.lstrip("+")
    last = plain.rpartition(".")[2]
    return COLUMNS not in plain and (plain in ALONE or last in NAMES or last.endswith(ENDINGS))


def _one(argument: str) -> str:
    key, equals, value = argument.partition("=")
    if not equals:
        return argument
    key, text = key.lstrip("+"), value.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    if not text.strip():
        raise UserError(f"{key}= is empty: an unset shell variable? write {key}=<path>, or leave it out")
    if longest := next((part for part in re.split(r"[/,\[\]]", text) if len(os.fsencode(part)) > NAME_BYTES), None):
        raise UserError(f"{key}={longest[:20]}...: a name of {len(longest)} letters is too long for a file or folder")
    if (found := _VARIABLE.search(text)) and not Path(text).exists():
        raise UserError(
            f"{key}={text}: no shell has put a value in the place of ${found[1]}: write it without single quotes, "
            f"or the path itself"
        )
    return _HOME.sub(lambda home: os.path.expanduser(home[0]), argument)
