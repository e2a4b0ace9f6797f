"""Entries of a file as a sequence of Examples. Each one is read and checked when asked for, so opening is quick."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any, Protocol, overload

from ral.data.bad import Bad, BadSample
from ral.data.fields import Entry, shown
from ral.data.names import repeated
from ral.types import Example, UserError

Parse = Callable[[Entry], Example]


class FileRows(Protocol):
    """Raw entries of a file by position, from 0, as the file's reader returns them."""

    @property
    def path(self) -> Path:
        """Return the path of the file, as messages name it."""
        ...

    @property
    def shape(self) -> str:
        """Return how the entries stand in the file, in words, such as "JSON lines"."""
        ...

    def __len__(self) -> int:
        """Return the number of entries."""
        ...

    def row(self, index: int) -> Any:
        """Return the entry at a position, from 0, usually a dict. BadSample where it cannot be read."""
        ...


def without_nan(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry with None in each field that is NaN, which is how tables write an empty cell."""
    return {name: None if isinstance(value, float) and isnan(value) else value for name, value in data.items()}


class Entries(Sequence[Example]):
    """The Examples at the positions `part` of `rows`. An entry that cannot be used raises BadSample when asked for.

    media_root: folder that relative paths of media start from. parse: makes an Example of a raw entry. name: prefix of
    uids, which keeps those of two files apart; None for the file's name without suffix.
    """

    def __init__(self, rows: FileRows, media_root: Path, parse: Parse, part: range, name: str | None = None) -> None:
        self.rows, self.media_root, self.parse, self.part, self.name = rows, media_root, parse, part, name
        self.repeated = repeated(rows)

    def __len__(self) -> int:
        return len(self.part)

    @overload
    def __getitem__(self, at: int) -> Example: ...

    @overload
    def __getitem__(self, at: slice) -> Entries: ...

    def __getitem__(self, at: int | slice) -> Example | Entries:
        """Return one Example, or the Entries of a slice. BadSample for an entry that cannot be used."""
        if isinstance(at, slice):
            return Entries(self.rows, self.media_root, self.parse, self.part[at], self.name)
        entry = self.entry(at)
        try:
            return self.parse(entry)
        except (UserError, MemoryError):
            raise
        except Exception as error:  # one entry must not end a run, whatever it holds
            raise BadSample(entry.place, f"{type(error).__name__} while it was read ({error})", "mend it") from error

    def entry(self, at: int) -> Entry:
        """Return the raw entry at a position of this part, for `parse`.

        BadSample where it cannot be read, or is no object.
        """
        number, data = self.part[at] + 1, self.rows.row(self.part[at])
        if not isinstance(data, dict):
            place = f"{self.rows.path}: entry {number}"
            raise BadSample(place, f"{shown(data)} is not an object", 'write {"problem": ..., ...}')
        return Entry(self.rows.path, number, without_nan(data), self.media_root, self.name, self.repeated)

    def bad(self, at: int, error: BadSample) -> Bad:
        """Return the record, for bad_samples.jsonl, of the entry at a position of this part.

        error: what the entry raised.
        """
        try:
            data = self.rows.row(self.part[at])
        except BadSample:
            data = None
        data = data if isinstance(data, dict) else {}
        uid, path = data.get("problem_id", data.get("id")), data.get("path")
        return Bad(
            index=self.part[at],
            problem_id=uid if isinstance(uid, int | str) else None,
            path=path if isinstance(path, str) else str(error.file) if error.file else None,
            reason=error.reason,
            message=_message(error, f"{self.rows.path}: entry {self.part[at] + 1}"),
            remedy=error.write,
        )


def bad_of(examples: Sequence[Example], at: int, error: BadSample) -> Bad:
    """Return the record, for bad_samples.jsonl, of the example at position `at`, which raised `error`.

    examples: a split of any dataset; for Entries the record's index counts the entries of the whole file, else it is
    `at`.
    """
    if isinstance(examples, Entries):
        return examples.bad(at, error)
    example = examples[at]
    file = str(error.file) if error.file else None
    return Bad(at, example.uid, file, error.reason, _message(error, example.source or example.uid), error.write)


def _message(error: BadSample, place: str) -> str:
    """Return the message of an error, with the entry's place also where the error names a file."""
    return str(error) if error.place == place else f"{place}: {error}"
