"""A JSON file of any size, opened by noting where each entry lies. Entries are read and parsed when asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ral.data.bad import BadSample
from ral.data.json_spans import FORM, LINES, TRIED, WINDOW, spans_of
from ral.data.jsontext import Unreadable, parsed
from ral.data.shapes import NO_ENTRIES
from ral.types import UserError


@dataclass(frozen=True)
class JsonFile:
    """The raw entries of a JSON file.

    text: the file that is read; it differs from `path` where that is compressed, for example. shape: how the entries
    stand in the file, in words. stamp: size of `path` in bytes and its time of change in nanoseconds, when it was
    opened. spans [n, 2] int64: the bytes where each of the n entries begins and ends in `text`.
    """

    path: Path
    text: Path
    shape: str
    stamp: tuple[int, int]
    spans: NDArray[np.int64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.spans)

    def raw(self, index: int) -> bytes:
        """Return the bytes of the entry at a position, from 0. UserError where the file has changed."""
        start, stop = self.spans[index].tolist()
        with self.text.open("rb") as file:
            if stamp(self.path) != self.stamp:
                raise UserError(f"{self.path}: has changed since the run started; start again")
            file.seek(start)
            return file.read(stop - start)

    def row(self, index: int) -> Any:
        """Return the entry at a position, from 0.

        BadSample where it is not JSON, or JSON that cannot be used; UserError where the file has changed.
        """
        raw, write = self.raw(index), "mend the entry"
        try:
            return parsed(raw)
        except json.JSONDecodeError as error:
            reason = f"not JSON: {error.msg} at line {error.lineno}, column {error.colno} of the entry"
            reason += self._line(index)
            if error.msg == "Extra data" and LINES in self.shape:
                write = "write one object a line"
            elif index == len(self) - 1 and not raw.endswith(b"\n") and LINES in self.shape:
                write = "the file seems to be cut off there: fetch it again, or delete its last line"
        except UnicodeError as error:
            reason = f"not UTF-8 text: {error.reason}{self._line(index)}"  # type: ignore[attr-defined]
            write = "save it as UTF-8"
        except Unreadable as error:
            reason, write = f"{error}{self._line(index)}", error.write
        except (ValueError, RecursionError) as error:  # objects within objects without end, say
            reason = f"not JSON: {error}{self._line(index)}"
        raise BadSample(f"{self.path}: entry {index + 1}", reason, write)

    def contents(self, part: range) -> Iterator[bytes]:
        """Yield the bytes of the entries from part.start to part.stop - 1, without blanks and commas at their ends."""
        with self.text.open("rb") as file:
            for start, stop in self.spans[part.start : part.stop].tolist():
                file.seek(start)
                yield file.read(stop - start).strip(b" \t\r\n,")

    def first(self) -> Any:
        """Return the first entry that is JSON; None where none of the first TRIED is."""
        for index in range(min(TRIED, len(self))):
            try:
                return self.row(index)
            except BadSample:
                continue
        return None

    def _line(self, index: int) -> str:
        """Return the line where an entry begins, for messages; "" where `text` is a copy, or for the first line."""
        if self.text != self.path:
            return ""
        with self.text.open("rb") as file:
            before, number = int(self.spans[index, 0]), 1
            while before > 0 and (part := file.read(min(WINDOW, before))):
                number, before = number + part.count(b"\n"), before - len(part)
        return f" (the entry begins at line {number} of the file)" if number > 1 else ""

    def ids(self) -> Iterator[Any]:
        """Yield all entries in order, None for one that is not JSON. The file is read once.

        `ral.data.names.repeated` reads their ids.
        """
        for raw in self.contents(range(len(self))):
            try:
                yield json.loads(raw)
            except (ValueError, RecursionError):
                yield None


def stamp(path: Path) -> tuple[int, int]:
    """Return the size of a file in bytes and its time of change in nanoseconds."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=8)  # the splits of a run lie in one file
def _opened(path: Path, stamp: tuple[int, int], text: Path, shape: str | None) -> JsonFile:
    form, spans = spans_of(path, text)
    file = JsonFile(path, text, shape or form, stamp, np.array(spans, dtype=np.int64).reshape(-1, 2))
    if not len(file):
        raise UserError(f"{path}: {NO_ENTRIES}")
    problems: list[BadSample] = []
    for index in range(min(TRIED, len(file))):
        try:
            file.row(index)
            return file
        except BadSample as problem:
            problems.append(problem)
    write = FORM if problems[0].reason.startswith("not JSON") else problems[0].write
    raise UserError(f"{problems[0].place}: {problems[0].reason}; {write}")


def open_json(path: Path, text: Path | None = None, shape: str | None = None) -> JsonFile:
    """Return the entries of a JSON array, JSON lines or objects one after another, in UTF-8.

    path: the file, as messages name it. text: the file to read instead; None: `path`. shape: how the entries of `path`
    stand, where `text` is a copy; None to find out. UserError for a missing, unreadable, empty or cut file, and where
    none of the first TRIED entries is JSON.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; write the path of a JSON or JSON lines file")
    try:
        return _opened(path, stamp(path), text or path, shape)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
