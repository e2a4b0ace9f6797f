"""Entries that cannot be used: skipped and counted, listed once each, and too many of them stop the run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ral.types import Example, UserError

FIRST_CHECK = 20  # draws (fewer where a split is smaller) before the share of bad ones says something


class BadSample(UserError):
    """One entry, or one of its files, that cannot be used.

    place: what the message begins with; reason: what is wrong; write: what to do about it; file: the file to blame.
    """

    def __init__(self, place: object, reason: str, write: str, file: Path | None = None) -> None:
        super().__init__(place, reason, write, file)
        self.place, self.reason, self.write, self.file = str(place), " ".join(reason.split()), write, file

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}; {self.write}"


def any_use(example: Example) -> None:
    """Accept every example."""


@dataclass(frozen=True)
class Checked:
    """A check of examples whose UserError makes an entry a bad one."""

    check: Callable[[Example], object]

    def __call__(self, example: Example) -> None:
        """Raise BadSample where the check complains."""
        try:
            self.check(example)
        except UserError as error:
            place = example.source or example.uid
            reason, _, write = str(error).removeprefix(f"{place}: ").partition("; ")
            raise BadSample(place, reason, write or "mend the entry") from error


@dataclass(frozen=True)
class Bad:
    """A line of bad_samples.jsonl, and the message about it.

    index: the entry's position in its file, from 0; problem_id: its id there, if any; path: its `path`, else the file
    to blame.
    """

    index: int
    problem_id: int | str | None
    path: str | None
    reason: str
    message: str

    def record(self) -> dict[str, Any]:
        """Return the fields that are written."""
        return {"index": self.index, "problem_id": self.problem_id, "path": self.path, "reason": self.reason}


@dataclass
class EntryRecord:
    """Record of what was drawn so far, over all ranks.

    counts: by split, entries drawn and the bad ones among them. listed: each bad entry, by split and index.
    """

    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    listed: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "counts": {split: list(pair) for split, pair in self.counts.items()},
            "listed": [[split, record] for (split, _), record in self.listed.items()],
        }

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> EntryRecord:
        """Return the record that the facts are of."""
        counts = {split: (pair[0], pair[1]) for split, pair in facts["counts"].items()}
        return cls(counts, {(split, record["index"]): record for split, record in facts["listed"]})


class Ledger:
    """Counts what is drawn and what of it is bad, over all ranks, in `record`, which only it writes.

    file: where each bad entry is listed once, written anew from the record; None writes nothing. max_share: more bad
    ones among the drawn are an error; 0 makes the first one an error.
    """

    def __init__(self, file: Path | None = None, max_share: float = 0.0, record: EntryRecord | None = None) -> None:
        self.file, self.max_share = file, max_share
        self.record = record or EntryRecord()
        if self.file is not None:
            self.file.write_text("".join(map(_line, self.record.listed.values())), encoding="utf-8")

    @property
    def skipped(self) -> int:
        """Return the different bad entries met so far: the lines of the file."""
        return len(self.record.listed)

    def add(self, split: str, size: int, drawn: int, bad: Sequence[Bad]) -> None:
        """Count `drawn` more entries of a split of `size`, `bad` among them. UserError above max_share."""
        before = self.record.counts.get(split, (0, 0))
        total, wrong = self.record.counts[split] = (before[0] + drawn, before[1] + len(bad))
        new = {(split, b.index): b.record() for b in bad if (split, b.index) not in self.record.listed}
        self.record.listed |= new
        if self.file is not None and new:
            with self.file.open("a", encoding="utf-8") as file:
                file.writelines(map(_line, new.values()))
        if not bad or wrong <= self.max_share * total:
            return
        if self.max_share == 0:
            raise UserError(bad[0].message)
        if total >= min(FIRST_CHECK, size):
            raise UserError(self._too_many(split, total, wrong, bad[-1]))

    def _too_many(self, split: str, total: int, wrong: int, latest: Bad) -> str:
        listed = f" (listed in {self.file})" if self.file else ""
        return (
            f"dataset: {wrong} of the {total} {split} entries drawn so far cannot be used{listed}, above "
            f"dataset.max_bad_share={self.max_share:g}; the latest: {latest.message}"
        )


def write_bad(path: Path, bad: Sequence[Bad]) -> None:
    """Write a bad_samples.jsonl of its own."""
    path.write_text("".join(_line(b.record()) for b in bad), encoding="utf-8")


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"
