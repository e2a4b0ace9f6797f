"""Lines that say how a file was read: its format, its number of entries, and which fields are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ral.data.bad import BadSample
from ral.data.entries import Entries
from ral.types import Example

LOOKED_AT = 200  # first entries whose fields are named
LABELS = frozenset({"data_source", "source", "dataset", "split", "id", "index", "category", "difficulty", "license"})
"""Fields that name an entry's source or category. A run does not report that nothing reads them."""
LOOKED_AT_IN_RUNS = 100


class Noted(dict[str, Any]):
    """A raw entry that records, in `asked`, the names of the fields that were looked up."""

    def __init__(self, data: dict[str, Any]) -> None:
        super().__init__(data)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a field as any dict does, and record its name."""
        self.asked.add(name)
        return super().get(name, default)


def fields_read(entries: Entries, count: int = LOOKED_AT) -> tuple[list[str], list[str]]:
    """Return (read, not read): names of the fields with a value in the first `count` entries.

    Entries that cannot be used are passed over, since their parser did not get to all fields.
    """
    there: dict[str, bool] = {}
    for at in range(min(count, len(entries))):
        try:
            entry = entries.entry(at)
        except BadSample:
            continue
        noted = Noted(dict(entry.data))
        try:
            entries.parse(replace(entry, data=noted))
        except BadSample:
            continue  # it did not get to all of its fields
        for name, value in noted.items():
            if value is not None:
                there[name] = there.get(name, False) or name in noted.asked
    return [name for name, read in there.items() if read], [name for name, read in there.items() if not read]


def overview(name: str, examples: Sequence[Example]) -> list[str]:
    """Return lines that describe a split: its file, its number of entries, fields that are read, fields that are not.

    name: the split's name. [] for examples that are not read from a file.
    """
    if not isinstance(examples, Entries):
        return []
    read, others = fields_read(examples)
    rows = examples.rows
    lines = [f"{name}: {len(examples)} of the {len(rows)} entries of {rows.path} ({rows.shape})"]
    lines += [f"  fields read: {', '.join(read)}"] if read else []
    lines += [f"  fields that nothing reads: {', '.join(others)}"] if others else []
    return lines


def unread(name: str, examples: Sequence[Example]) -> str | None:
    """Return a line with the fields of a split's first entries that nothing reads, without LABELS.

    None where there are none, and for examples that are not read from a file. name: the split's name.
    """
    others = fields_read(examples, LOOKED_AT_IN_RUNS)[1] if isinstance(examples, Entries) else []
    found = [field for field in others if field not in LABELS]
    return f"{name}: fields that nothing reads: {', '.join(found)}" if found else None
