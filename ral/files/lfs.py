"""Files of Git LFS that were not fetched."""

from __future__ import annotations

from pathlib import Path

POINTER = b"version https://git-lfs"
"""First bytes of a pointer file, which Git LFS leaves in a file's place until it fetches that file."""


def is_pointer(path: Path) -> bool:
    """Tell whether a file is a pointer of Git LFS, not the content itself; False for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(POINTER)) == POINTER
    except OSError:
        return False
