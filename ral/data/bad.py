"""Entries that cannot be used: a run skips and counts them, lists each once, and stops where they are too many."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ral.types import Example, UserError

ROOT_KEY = "dataset.media_root"
"""Setting of the folder that paths of media start from.

Programs in which it has another name replace it in messages.
"""
FIRST_CHECK = 20  # draws (fewer where a split is smaller) before the share of bad ones says something


class BadSample(UserError):
    """Raised for one entry, or one of its files, that cannot be used; a run can go on with another entry.

    place: the beginning of the message. reason: the fault. write: the remedy. file: the file at fault, None for none.
    """

    def __init__(self, place: object, reason: str, write: str, file: Path | None = None) -> None:
        super().__init__(place, reason, write, file)
        self.place, self.reason, self.write, self.file = str(place), " ".join(reason.split()), write, file

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}; {self.write}"


def any_use(example: Example) -> None:
    """Accept every example. It is the check where a run has no demands of its own."""


@dataclass(frozen=True)
class Checked:
    """A check of examples whose UserError is raised again as BadSample, so that a run skips the entry.

    check: a function that raises UserError for an example that cannot be used.
    """

    check: Callable[[Example], object]

    def __call__(self, example: Example) -> None:
        """Raise BadSample where the check raises UserError."""
        try:
            self.check(example)
        except UserError as error:
            place = example.source or example.uid
            reason, _, write = str(error).removeprefix(f"{place}: ").partition("; ")
            raise BadSample(place, reason, write or "mend the entry") from error


@dataclass(frozen=True)
class Bad:
    """One bad entry, as a line of bad_samples.jsonl and as a message.

    index: the entry's position in its file, from 0. problem_id: its id there, None where it has none. path: the entry's
    field `path`, else the file at fault, else None. remedy: what to write instead.
    """

    index: int
    problem_id: int | str | None
    path: str | None
    reason: str
    message: str
    remedy: str = ""

    def record(self) -> dict[str, Any]:
        """Return the fields for a line of bad_samples.jsonl: all but `message`."""
        named = {"index": self.index, "problem_id": self.problem_id, "path": self.path}
        return {**named, "reason": self.reason, "remedy": self.remedy}


@dataclass
class EntryRecord:
    """Record of the entries drawn so far, over all ranks; a part of the training state.

    counts: {split: (entries drawn, bad ones among them)}; an entry drawn twice counts twice. listed: each different bad
    entry by (split, index), as `Bad.record` gives it.
    """

    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    listed: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Return the record as plain lists and dicts, for a checkpoint."""
        return {
            "counts": {split: list(pair) for split, pair in self.counts.items()},
            "listed": [[split, record] for (split, _), record in self.listed.items()],
        }

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> EntryRecord:
        """Return the record from the plain values that `facts` returned."""
        counts = {split: (pair[0], pair[1]) for split, pair in facts["counts"].items()}
        return cls(counts, {(split, record["index"]): record for split, record in facts["listed"]})


class Ledger:
    """Counter of the entries drawn, and of the bad ones among them, over all ranks. Only it changes its `record`.

    file: bad_samples.jsonl, which lists each bad entry once and is written anew from the record at the start; None for
    no file. max_share: greatest share of bad ones among the entries drawn, in [0, 1]; 0 makes the first bad entry an
    error. record: counts to begin with; None for none.
    """

    def __init__(self, file: Path | None = None, max_share: float = 0.0, record: EntryRecord | None = None) -> None:
        self.file, self.max_share = file, max_share
        self.record = record or EntryRecord()
        if self.file is not None:
            self.file.write_text("".join(map(_line, self.record.listed.values())), encoding="utf-8")

    @property
    def skipped(self) -> int:
        """Number of different bad entries so far, which is the number of lines of the file."""
        return len(self.record.listed)

    def add(self, split: str, size: int, drawn: int, bad: Sequence[Bad]) -> None:
        """Count `drawn` more entries of a split of `size` entries. bad: the bad ones among them.

        UserError where the share of bad ones is above max_share, once FIRST_CHECK entries (or the whole split) were
        drawn; where max_share is 0, at the first bad one.
        """
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
    """Write a file bad_samples.jsonl with one line for each entry of `bad`."""
    path.write_text("".join(_line(b.record()) for b in bad), encoding="utf-8")


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"
