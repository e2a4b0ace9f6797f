"""A check, before anything is written, whether a dataset may be made in a folder."""

from __future__ import annotations

import os
from pathlib import Path

from ral.types import UserError
from ral.worlds.scene import SPLIT_BUCKETS

FILES = frozenset({".json", ".jsonl", ".ndjson", ".gz", ".bz2", ".xz", ".zst", ".csv", ".tsv", ".parquet", ".arrow"})
"""Suffixes of files of entries. No folder of data is made under a name that ends in one of them."""
READ_IT = "to read data of your own, write dataset=jsonl dataset.path"
MARKS = tuple(name for split in SPLIT_BUCKETS for name in (f"{split}.settings.json", f".{split}.lock"))
"""Files that making a dataset leaves in its folder, even where it was interrupted."""


def check_root(root: Path, world: str) -> None:
    """Raise UserError where making a dataset in `root` would overwrite something, or is probably a mistake.

    Allowed are a folder that holds a made dataset, an empty folder, and a new one: below the working directory, or in
    an existing folder other than the root of the disk. world: name of the dataset, for the message.
    """
    place = f"{root}: is where the data of {world} would be made"
    if root.is_dir():
        if any(root.iterdir()) and not any((root / name).exists() for name in MARKS):
            write = f"{READ_IT}=<a file>, else name a new folder"
            raise UserError(f"{place}, and it is a folder that holds something else; {write}")
        return
    if root.exists():
        raise UserError(f"{place}, and it is a file; {READ_IT}={root}, else name a folder")
    if root.suffix.lower() in FILES:
        raise UserError(f"{place}, and there is no such file; {READ_IT}=<a file that exists>, else name a folder")
    whole = Path(os.path.normpath(root.absolute()))
    parent, top, here = whole.parent, Path(whole.anchor), Path.cwd()
    is_below = whole.is_relative_to(here) and (here != top or not root.is_absolute())
    if not is_below and (parent == top or not parent.exists()):
        problem = "the root of the disk" if parent.exists() else "a folder that does not exist"
        write = f"{READ_IT}=<your file>, else name a folder in one that exists"
        raise UserError(f"{place}, in {parent}, {problem}; {write}")
