"""Locks on folders of weights: a folder that nobody holds was left by processes that were killed, and is removed.

Beside folder NAME lies the file NAME.lock. Whoever uses the folder holds a shared lock (flock) on that file. The system
drops a lock when all processes with its file descriptor have ended, however they ended. Nothing heavy is imported here.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ral.errors import UserWarned

NAMES = re.compile(r"ral-(weights-\d+-[0-9a-f]{8}|served-[0-9a-f]{32})\.lock")
"""Names of lock files: of trainers and of servers."""
MEMORY = Path("/dev/shm")
"""Folder whose files are in main memory."""


def main_memory() -> Path:
    """Return the folder whose files are in main memory; the one for temporary files where there is none."""
    return MEMORY if MEMORY.is_dir() else Path(tempfile.gettempdir())


def lock_file(folder: Path) -> Path:
    """Return the path of a folder's lock file."""
    return folder.with_name(f"{folder.name}.lock")


def hold(folder: Path) -> int | None:
    """Lock a folder, which need not exist, against removal by `remove_stale`; return the lock's file descriptor.

    The lock lasts until the descriptor is closed in all processes that have it. None where no file can be made beside
    the folder, since then none can be written into it either, and, with a warning, where the file system has no locks.
    """
    path = lock_file(folder)
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH)
        except OSError as error:
            os.close(handle)
            path.unlink(missing_ok=True)
            told = f"{path.parent} lies on a file system without locks ({error.strerror}): should this run be killed, "
            warnings.warn(f"{told}remove {folder.name} there by hand", UserWarned, stacklevel=2)
            return None
        if same_file(handle, path):  # else `remove_stale` of another process removed it in between
            return handle
        os.close(handle)


def same_file(handle: int, path: Path) -> bool:
    """Tell whether the file descriptor `handle` belongs to the file that lies at `path` now."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def remove(folder: Path, handle: int | None = None) -> None:
    """Remove a folder and its lock file, where they exist, and release the lock.

    handle: the file descriptor that `hold` returned; None where there is no lock to release.
    """
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        lock_file(folder).unlink()
    if handle is not None:
        os.close(handle)


def remove_stale(base: Path) -> None:
    """Remove this user's folders of weights in `base` that nobody holds. A folder without a lock file stays."""
    for path in base.glob("ral-*.lock"):
        if NAMES.fullmatch(path.name):
            with suppress(OSError):  # it is held, gone, or of another user
                remove_unless_held(path)


def remove_unless_held(path: Path) -> None:
    """Remove the folder that the lock file at `path` belongs to, and the lock file.

    OSError where another process holds the lock, or the folder cannot be removed.
    """
    handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not (same_file(handle, path) and own(path, stat.S_ISREG)):
            return
        folder = path.with_suffix("")
        if own(folder, stat.S_ISDIR):
            shutil.rmtree(folder)
        path.unlink()
    finally:
        os.close(handle)


def own(path: Path, kind: Callable[[int], bool]) -> bool:
    """Tell whether this user owns the file or folder at `path`, and whether `kind` is true of its mode.

    Links are not followed.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return found.st_uid == os.getuid() and kind(found.st_mode)
