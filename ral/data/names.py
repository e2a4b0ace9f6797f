"""Names that tell the entries of a file apart: their ids, and which ids occur more than once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ral.data.bad import BadSample

IDS = ("problem_id", "id")
"""Fields that may hold an entry's id. The first that has a value counts."""


def entry_name(data: object, number: int, names: Sequence[str] = IDS) -> str:
    """Return the id of a dataset's entry, on one line; its number, as text, where it has no id.

    data: the entry, parsed. number: number of the entry in its file. names: fields that may hold the id; the first that
    is present and not null counts.
    """
    ids = [data[name] for name in names if data.get(name) is not None] if isinstance(data, Mapping) else []
    return " ".join(str(ids[0]).split()) if ids else str(number)


def repeated(rows: Any) -> frozenset[str]:
    """Return the names (see `entry_name`) that more than one entry of `rows` has. They are found once for all splits.

    rows: a `ral.data.entries.FileRows`. Where it has a method `ids()`, which yields for each entry an object with its
    id fields, the entries are not read one by one.
    """
    known = vars(rows)
    if "_repeated" not in known:
        known["_repeated"] = _twice(rows.ids() if hasattr(rows, "ids") else _read(rows))
    found: frozenset[str] = known["_repeated"]
    return found


def _read(rows: Any) -> Iterable[object]:
    """Yield the entries one by one; None for one that cannot be read."""
    for index in range(len(rows)):
        try:
            yield rows.row(index)
        except BadSample:
            yield None


def _twice(entries: Iterable[object]) -> frozenset[str]:
    """Return the names that occur more than once."""
    names = Counter(entry_name(data, number) for number, data in enumerate(entries, start=1))
    return frozenset(name for name, count in names.items() if count > 1)
