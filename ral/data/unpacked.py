"""Copies of files in a form that is read in place: decompressed, as UTF-8, or as JSON lines. Each is made once."""

from __future__ import annotations

import bz2
import codecs
import fcntl
import gzip
import json
import lzma
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from ral.errors import UserError
from ral.files.hashed import text_hash

AT_ONCE = 2**22  # bytes copied at once
ELSEWHERE = "write dataset.source.unpacked=<a folder with room>"
BROKEN = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, ValueError)


def kept(folder: Path, path: Path, form: str, write: Callable[[BinaryIO], object]) -> Path:
    """Return the copy of `path` in a form, below `folder`.

    write: a function that writes it where it does not exist yet. form: name of the form. The copy's name follows from
    the form and from path, size and time of change of `path`. One process at a time writes, under another name, and
    then renames the file. UserError where the copy cannot be written; an exception in `write` leaves no copy.
    """
    status = path.stat()
    key = repr((str(path.absolute()), status.st_size, status.st_mtime_ns, form))
    copy = folder / f"{text_hash(key)}.json"
    if copy.exists():
        return copy
    aside = copy.with_name(f"{copy.name}.{os.getpid()}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / ".lock"):
            if not copy.exists():
                with aside.open("wb") as file:
                    write(file)
                os.replace(aside, copy)
    except OSError as error:
        if isinstance(error, BROKEN):
            raise
        reason = error.strerror or error
        raise UserError(
            f"{path}: is read by way of a copy, and {folder} cannot hold it ({reason}); {ELSEWHERE}"
        ) from error
    finally:
        with suppress(OSError):  # it is renamed, or was never there
            aside.unlink()
    return copy


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time run the block."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _reader(path: Path, packed: str) -> Any:
    """Open a compressed file to read its decompressed bytes. packed: the compression, such as "gzip"."""
    openers: dict[str, Callable[[Path], Any]] = {"gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open}
    if packed in openers:
        return openers[packed](path)
    import pyarrow  # comes with datasets; takes a while, so only where it is used

    return pyarrow.input_stream(str(path), compression=packed)


def decompressed(folder: Path, path: Path, packed: str) -> Path:
    """Return a decompressed copy of `path`. packed: its compression, such as "gzip".

    UserError where it is damaged or cut off, or the copy cannot be written.
    """

    def write(file: BinaryIO) -> None:
        try:
            with _reader(path, packed) as source:
                shutil.copyfileobj(source, file, AT_ONCE)
        except OSError as error:
            if error.errno is not None:
                raise
            raise ValueError(str(error)) from error

    try:
        return kept(folder, path, f"{packed} unpacked", write)
    except BROKEN as error:
        raise UserError(f"{path}: its {packed} compression is damaged or cut off ({error}); fetch it again") from error


def recoded(folder: Path, path: Path, text: Path, encoding: str) -> Path:
    """Return a copy in UTF-8 of `text`, a file in `encoding`. path: the file that messages name.

    UserError where the file is not in that encoding, or the copy cannot be written.
    """

    def write(file: BinaryIO) -> None:
        with text.open("rb") as source:
            decoder = codecs.getincrementaldecoder(encoding)()
            while raw := source.read(AT_ONCE):
                file.write(decoder.decode(raw).encode("utf-8"))
            file.write(decoder.decode(b"", True).encode("utf-8"))

    try:
        return kept(folder, text, f"{encoding} as UTF-8", write)
    except UnicodeError as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"{path}: looks like {encoding} text and is not ({reason}); write it as UTF-8") from error


def as_lines(folder: Path, text: Path, form: str, rows: Iterable[Any]) -> Path:
    """Return a copy of `text` as JSON lines, one for each of `rows`. The rows are read only where there is no copy yet.

    form: name of the form, a part of the copy's name. UserError where the copy cannot be written.
    """

    def write(file: BinaryIO) -> None:
        file.writelines(json.dumps(row).encode() + b"\n" for row in rows)

    return kept(folder, text, form, write)
