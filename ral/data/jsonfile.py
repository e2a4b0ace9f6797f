"""A large JSON file, opened by noting where each entry lies: entries are read and parsed when they are asked for.

Opening reads the file once in windows, so memory does not grow with it. An entry that is not JSON is one bad entry: the
next one is found behind it: the first object with most of the keys of an entry that is JSON.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ral.data.bad import BadSample
from ral.types import UserError

LARGEST_ENTRY = 2**20  # characters that one entry may have
WINDOW = 2**22  # bytes read at once
TRIED = 20  # first entries of which one has to be JSON
FORM = "write an array of objects, or one object a line"
BLANK = re.compile(r"[\s,]*")
NEXT = re.compile(r',\s*(?=\{\s*"([^"\\]*)")')  # what stands before an object, and its first key
Keys = tuple[str, ...]
Span = tuple[int, int]
"""First byte of an entry, and the one after its last."""


class _Window:
    """A sliding part of a file as text that knows its place in bytes. Bytes that are not UTF-8 become surrogates."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.final = file, False
        self.decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.text, self.at = "", 0
        self._mark = (0, file.tell())  # a character of `text` and its byte in the file

    def byte(self, at: int) -> int:
        """The byte where character `at` begins; `at` never goes back."""
        here, there = self._mark
        part = self.text[here:at]
        self._mark = (at, there + (len(part) if part.isascii() else len(part.encode("utf-8", "surrogateescape"))))
        return self._mark[1]

    def fill(self) -> None:
        """Hold at least LARGEST_ENTRY characters from `at` on, or the rest of the file."""
        while len(self.text) - self.at < LARGEST_ENTRY and not self.final:
            self._mark = (0, self.byte(self.at))
            raw = self.file.read(WINDOW)
            self.final = len(raw) < WINDOW
            self.text, self.at = self.text[self.at :] + self.decoder.decode(raw, self.final), 0


def _array(path: Path, file: BinaryIO) -> Iterator[Span]:
    """The entries of an array; `file` stands behind its opening bracket."""
    window, number = _Window(file), 0
    known: set[Keys] = set()
    while True:
        window.fill()
        window.at = BLANK.match(window.text, window.at).end()  # type: ignore[union-attr]
        if window.text[window.at : window.at + 1] in ("]", ""):
            return _check_end(path, window, number)
        number += 1
        start = window.byte(window.at)
        try:
            value, window.at = json.JSONDecoder().raw_decode(window.text, window.at)
            if isinstance(value, dict) and value:
                known.add(tuple(value))
        except (ValueError, RecursionError):
            window.at = _behind(path, window, number, known or _guessed(window))
        yield start, window.byte(window.at)


def _check_end(path: Path, window: _Window, number: int) -> None:
    """UserError unless the array is closed and nothing follows it."""
    rest = window.text[window.at :].strip()
    if not rest:
        raise UserError(f"{path}: ends after entry {number} without the closing ]; it is not whole: fetch it again")
    if rest != "]":
        raise UserError(f"{path}: something follows the closing ] after entry {number}; {FORM}")


def _objects(text: str, at: int) -> Iterator[tuple[re.Match[str], Keys]]:
    """The objects behind commas from `at` on, none within another, with their keys: () where one is not JSON."""
    while found := NEXT.search(text, at):
        try:
            value, at = json.JSONDecoder().raw_decode(text, found.end())
        except (ValueError, RecursionError):
            value, at = {}, found.end()
        yield found, tuple(value)


def _alike(keys: Keys, others: Keys) -> bool:
    """Whether two objects have most of their keys in common."""
    return 2 * len(set(keys) & set(others)) > max(len(keys), len(others))


def _guessed(window: _Window) -> set[Keys]:
    """The keys of entries where the first one is not JSON: those that most of the next objects are like."""
    seen = [keys for _, keys in islice(_objects(window.text, window.at + 1), TRIED) if keys]
    return {max(reversed(seen), key=lambda keys: sum(_alike(keys, others) for others in seen))} if seen else set()


def _behind(path: Path, window: _Window, number: int, known: set[Keys]) -> int:
    """Where an entry ends that is not JSON: before an object like those `known`, or a broken one that begins so."""
    first = {keys[0] for keys in known}
    for found, keys in _objects(window.text, window.at + 1):
        if any(_alike(keys, others) for others in known) if keys else found[1] in first:
            return found.start()
    rest = window.text.rstrip()
    if not window.final:
        raise UserError(f"{path}: entry {number} is not JSON, or longer than {LARGEST_ENTRY} characters: mend it")
    if not rest.endswith("]"):
        raise UserError(f"{path}: not JSON from entry {number} on, or not whole: mend it or fetch it again; {FORM}")
    return len(rest) - 1


def _lines(file: BinaryIO) -> Iterator[Span]:
    """The lines that have something on them."""
    start = file.tell()
    for line in file:
        if line.strip():
            yield start, start + len(line)
        start += len(line)


def _spans(path: Path) -> Iterator[Span]:
    with path.open("rb") as file:
        head = file.read(2**16)
        mark = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
        blank = len(head) - len(head[mark:].lstrip())
        is_array = head[blank : blank + 1] == b"["
        file.seek(blank + 1 if is_array else mark)
        yield from _array(path, file) if is_array else _lines(file)


@dataclass(frozen=True)
class JsonFile:
    """The entries of a JSON array or of JSON lines. spans [n, 2]: bytes where each begins and ends.

    stamp: size in bytes and time of change in nanoseconds, when it was opened.
    """

    path: Path
    stamp: tuple[int, int]
    spans: NDArray[np.int64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.spans)

    def row(self, index: int) -> Any:
        """The entry at a position, from 0. BadSample where it is not JSON, UserError where the file has changed."""
        start, stop = self.spans[index].tolist()
        with self.path.open("rb") as file:
            if stamp(self.path) != self.stamp:
                raise UserError(f"{self.path}: has changed since the run started; start again")
            file.seek(start)
            raw = file.read(stop - start)
        try:
            data = json.loads(raw.decode("utf-8"))
            if b"\\ud" in raw.lower():  # half of a pair of surrogates is no character
                json.dumps(data, ensure_ascii=False).encode("utf-8")
            return data
        except json.JSONDecodeError as error:
            reason = f"not JSON: {error.msg} at line {error.lineno}, column {error.colno} of the entry"
        except UnicodeError as error:
            reason = f"not UTF-8 text: {error.reason}"  # type: ignore[attr-defined]
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, say
            reason = f"not JSON: {error}"
        raise BadSample(f"{self.path}: entry {index + 1}", reason, "mend the entry")

    def ids(self) -> Iterator[Any]:
        """All entries in order, None for one that is not JSON; the file is read once."""
        with self.path.open("rb") as file:
            for start, stop in self.spans.tolist():
                file.seek(start)
                try:
                    yield json.loads(file.read(stop - start))
                except (ValueError, RecursionError):
                    yield None


def stamp(path: Path) -> tuple[int, int]:
    """Size in bytes and time of change in nanoseconds."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=4)  # the splits of a run lie in one file
def _opened(path: Path, stamp: tuple[int, int]) -> JsonFile:
    file = JsonFile(path, stamp, np.array(list(_spans(path)), dtype=np.int64).reshape(-1, 2))
    if not len(file):
        raise UserError(f"{path}: has no entries; write at least one")
    problems: list[BadSample] = []
    for index in range(min(TRIED, len(file))):
        try:
            file.row(index)
            return file
        except BadSample as problem:
            problems.append(problem)
    raise UserError(f"{problems[0].place}: {problems[0].reason}; {FORM}")


def open_json(path: Path) -> JsonFile:
    """A JSON array, or JSON lines. UserError for a missing, empty or cut file, and for one that holds no JSON."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; write the path of a JSON or JSON lines file")
    try:
        return _opened(path, stamp(path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
