"""Files of Git LFS that were not fetched."""

from __future__ import annotations

from pathlib import Path

POINTER = b"version https://git-lfs"
"""First bytes of a pointer, which stands in a file's place until Git LFS fetches it."""


def is_pointer(path: Path) -> bool:
    """Tell whether a file is what Git LFS leaves in the place of one."""
    with path.open("rb") as file:
        return file.read(len(POINTER)) == POINTER
