"""A folder of decoded, resized frames, shared by all processes and runs.

Above a limit the longest unused are deleted.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from ral.data.sizes import Frames, MediaSettings
from ral.errors import UserError, UserWarned
from ral.files.hashed import text_hash
from ral.types import Media

KEPT = 0.9  # share of the cap that is left after making room
READING = 2  # the way in which media are read; raised where the same file gives other frames than before
FILES = ("path", "frames", "data")  # what a medium is read from
NOT_OF_THE_PIXELS = ("timeout_s",)  # settings that do not change what is read


def cache_key(media: Media, settings: MediaSettings) -> str:
    """Return a name for the frames of one image or video. Names differ where frames may differ.

    A name is made from path, size and time of change of the files (or the bytes given), all that the entry says about
    reading them, the settings except those in NOT_OF_THE_PIXELS, and READING. OSError where a file is missing.
    """
    files = () if media.data is not None else media.frames or (media.path,)
    statuses = [(str(path.absolute()), path.stat()) for path in files]
    sources = [(path, status.st_size, status.st_mtime_ns) for path, status in statuses]
    numbers = {name: value for name, value in asdict(settings).items() if name not in NOT_OF_THE_PIXELS}
    said = {f.name: getattr(media, f.name) for f in fields(media) if f.name not in FILES}
    data = None if media.data is None else hashlib.sha256(media.data).hexdigest()
    text = repr((READING, sources, data, sorted(said.items()), sorted(numbers.items())))
    return text_hash(text)


class DiskCache:
    """Frames of images and videos with their lengths in seconds, by key, at most `cap_bytes` of them, in `folder`.

    UserError where the folder cannot be written. A file is written under another name and then renamed. `folder/size`
    holds the total of bytes and is the lock for changing it; where it holds no number, since a process was killed, the
    files are counted.
    """

    def __init__(self, folder: Path, cap_bytes: int) -> None:
        self.folder, self.cap_bytes, self.full = folder, cap_bytes, False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "size").touch()
            with self._total():
                pass
        except OSError as error:
            raise UserError(f"dataset.disk_cache={folder}: {error.strerror}; name a folder to write to") from error

    def get(self, key: str) -> tuple[Frames, float] | None:
        """Return (frames [T H W 3], length in seconds) under a key; None where there are none that can be read.

        They count as used from now on.
        """
        path = self._path(key)
        try:
            with path.open("rb") as file:
                seconds, frames = np.load(file), np.load(file)
        except (ValueError, EOFError):  # the machine went down while it was written: it is written anew
            return None
        except OSError:  # not there, or not to be read
            return None
        with suppress(OSError):  # of another user, or just deleted
            os.utime(path)
        return frames, float(seconds)

    def put(self, key: str, frames: Frames, seconds: float) -> None:
        """Keep frames [T H W 3] and their length in seconds under a key, unless they fill more than KEPT of the limit.

        Where they cannot be written, as on a full disk, this warns once, and nothing more is kept.
        """
        if self.full or frames.nbytes > self.cap_bytes * KEPT:
            return
        aside = self._path(f"{key}.{os.getpid()}")
        try:
            with aside.open("wb") as file:
                np.save(file, np.float64(seconds))
                np.save(file, frames)
                file.flush()
                os.fsync(file.fileno())  # else a machine that goes down may leave a file of zeros under its name
            with self._total() as total:
                total[0] += aside.stat().st_size
                os.replace(aside, self._path(key))
                if total[0] > self.cap_bytes:
                    total[0] = self._make_room()
        except OSError as error:
            self.full = True
            aside.unlink(missing_ok=True)
            warnings.warn(f"dataset.disk_cache={self.folder}: {error}; nothing more is kept", UserWarned, stacklevel=2)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.npy"

    @contextmanager
    def _total(self) -> Iterator[list[int]]:
        """Yield the bytes in the folder as a list of one number, to be changed in place; one process at a time."""
        with (self.folder / "size").open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                total = [int(file.read())]
            except ValueError:
                total = [sum(size for _, size, _ in self._files())]
            yield total
            file.seek(0)
            file.truncate()
            file.write(str(total[0]))

    def _files(self) -> list[tuple[float, int, str]]:
        """Return (time of last use, bytes, path) of every file, the longest unused first."""
        with os.scandir(self.folder) as found:
            return sorted((s.st_mtime, s.st_size, e.path) for e in found if e.name != "size" and (s := e.stat()))

    def _make_room(self) -> int:
        """Make room: delete the longest unused files until KEPT of the limit is filled; return the bytes left."""
        files = self._files()
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= KEPT * self.cap_bytes:
                break
            os.unlink(path)
            total -= size
        return total
