"""The bytes at which each entry of a JSON file lies. The file is an array, JSON lines, or objects one after another.

It is read once, in windows, so memory does not grow with its size. Text that is not JSON counts as one bad entry, which
ends where the next entry begins: an object that shares most of its keys with an entry that is JSON.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from ral.data.jsontext import decoded, is_object
from ral.types import UserError

LARGEST_ENTRY = 2**26  # characters that one entry may have: pictures may stand in it
HELD = 2**20  # characters held of the rest of the file, unless an entry is larger
WINDOW = 2**22  # bytes read at once
TRIED = 20  # first entries, or lines, of which one has to be JSON
FORM = "write an array of objects, or one object a line"
ARRAY, LINES, OBJECTS = "a JSON array", "JSON lines", "JSON objects one after another"
BLANK = re.compile(r"[\s,\ufeff]*")
NEXT = {  # what stands before an object, and its first key
    ARRAY: re.compile(r',\s*(?=\{\s*"([^"\\]*)")'),
    OBJECTS: re.compile(r'[,}\r\n]\s*(?=\{\s*"([^"\\]*)")'),
}
Keys = tuple[str, ...]
Span = tuple[int, int]
"""(first byte of an entry, the byte after its last)"""


class _Window:
    """A sliding part of a file as text, which knows the byte at which each of its characters lies.

    Bytes that are not UTF-8 become surrogates.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.final = file, False
        self.decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.text, self.at = "", 0
        self._mark = (0, file.tell())  # a character of `text` and its byte in the file

    def byte(self, at: int) -> int:
        """Return the byte where character `at` begins; `at` never goes back."""
        here, there = self._mark
        part = self.text[here:at]
        self._mark = (at, there + (len(part) if part.isascii() else len(part.encode("utf-8", "surrogateescape"))))
        return self._mark[1]

    def fill(self, count: int | None = None) -> None:
        """Read on until `text` holds `count` characters from `at`, or the rest of the file; None: the usual number."""
        count = min(HELD, LARGEST_ENTRY) if count is None else count
        while len(self.text) - self.at < count and not self.final:
            self._mark = (0, self.byte(self.at))
            raw = self.file.read(max(WINDOW, count))
            self.final = len(raw) < max(WINDOW, count)
            self.text, self.at = self.text[self.at :] + self.decoder.decode(raw, self.final), 0

    def skip(self) -> str:
        """Move `at` past blanks and commas; return the character there, "" at the end of the file."""
        self.fill()
        self.at = BLANK.match(self.text, self.at).end()  # type: ignore[union-attr]
        return self.text[self.at : self.at + 1]

    def value(self) -> tuple[Any, int]:
        """Return the JSON value at `at`, and where it ends.

        ValueError where there is none of at most LARGEST_ENTRY characters.
        """
        try:
            return decoded(self.text, self.at)
        except json.JSONDecodeError as error:
            if self.final or not (error.msg.startswith("Unterminated") or error.pos >= len(self.text) - 1):
                raise
        self.fill(LARGEST_ENTRY)
        return decoded(self.text, self.at)


def _entries(path: Path, window: _Window, form: str) -> Iterator[Span]:
    """Yield the span of each entry of an array, from behind its opening bracket, or of objects one after another."""
    number, known = 0, set[Keys]()
    while True:
        next_one = window.skip()
        if not next_one and form == OBJECTS:
            return
        if next_one in ("]", "") and form == ARRAY:
            return _check_end(path, window, number)
        number += 1
        start = window.byte(window.at)
        try:
            value, window.at = window.value()
            if isinstance(value, dict) and value:
                known.add(tuple(value))
        except (ValueError, RecursionError):
            window.at = _behind(path, window, number, known, form)
        yield start, window.byte(window.at)


def _check_end(path: Path, window: _Window, number: int) -> None:
    """Raise UserError unless the array is closed and nothing follows it."""
    rest = window.text[window.at :].strip()
    if not rest:
        raise UserError(f"{path}: ends after entry {number} without the closing ]; it is not whole: fetch it again")
    if rest != "]":
        raise UserError(f"{path}: something follows the closing ] after entry {number}; {FORM}")


def _objects(text: str, at: int, form: str) -> Iterator[tuple[re.Match[str], Keys]]:
    """Yield (match, keys) for each object after `at` that may be an entry, none inside another; keys () if not JSON."""
    while found := NEXT[form].search(text, at):
        try:
            value, at = decoded(text, found.end())
        except (ValueError, RecursionError):
            value, at = {}, found.end()
        yield found, tuple(value)


def _alike(keys: Keys, others: Keys) -> bool:
    """Tell whether two objects have most of their keys in common."""
    return 2 * len(set(keys) & set(others)) > max(len(keys), len(others))


def _guessed(window: _Window, form: str) -> set[Keys]:
    """Return the keys of an entry where the first entry is not JSON: those that most of the next objects resemble."""
    seen = [keys for _, keys in islice(_objects(window.text, window.at + 1, form), TRIED) if keys]
    return {max(reversed(seen), key=lambda keys: sum(_alike(keys, others) for others in seen))} if seen else set()


def _behind(path: Path, window: _Window, number: int, known: set[Keys], form: str) -> int:
    """Return where an entry that is not JSON ends: before an object with `known` keys, or a broken one like it."""
    known = known or _guessed(window, form)
    first = {keys[0] for keys in known}
    for found, keys in _objects(window.text, window.at + 1, form):
        if any(_alike(keys, others) for others in known) if keys else found[1] in first:
            return found.start() + (found[0][0] == "}")
    rest = window.text.rstrip()
    if not window.final:
        raise UserError(f"{path}: entry {number} is not JSON, or longer than {LARGEST_ENTRY} characters: mend it")
    if not rest.endswith("]"):
        raise UserError(f"{path}: not JSON from entry {number} on, or not whole: mend it or fetch it again; {FORM}")
    return len(rest) - 1


def _lines(file: BinaryIO) -> Iterator[Span]:
    """Yield the span of each line that is not empty."""
    start = file.tell()
    for line in file:
        if line.strip(b" \t\r\n,") not in (b"", codecs.BOM_UTF8):
            yield start, start + len(line)
        start += len(line)


def _form(window: _Window) -> str | None:
    """Return how the entries stand in a file: ARRAY, LINES or OBJECTS; None where that is unclear.

    window: at the beginning of the file.
    """
    next_one = window.skip()
    if next_one == "[":
        return ARRAY
    text = window.text[window.at :]
    try:
        _, end = window.value() if next_one == "{" else (None, None)
    except (ValueError, RecursionError):
        end = None
    if end is not None:
        held, line = window.text[window.at : end], window.text[end:].partition("\n")[0]
        return OBJECTS if "\n" in held or "\r" in held or line.strip(" \t\r\ufeff,") else LINES
    return LINES if any(map(is_object, islice(text.splitlines(), TRIED))) else None


def spans_of(path: Path, text: Path) -> tuple[str, list[Span]]:
    """Return how the entries of a UTF-8 file stand (ARRAY, LINES or OBJECTS), and the span of each in `text`.

    path: the file that messages name. UserError for an array that is not closed or that anything follows, and where no
    entry is found behind a bad one.
    """
    with text.open("rb") as file:
        window = _Window(file)
        form = _form(window)
        if form == LINES or form is None:
            file.seek(0)
            return LINES, list(_lines(file))
        window.at += form == ARRAY
        return form, list(_entries(path, window, form))
