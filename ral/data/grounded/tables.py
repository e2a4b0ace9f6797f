"""Published tables: one split of a parquet file or of a folder of them, with all columns under their own names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ral.data.entries import Entries, Parse
from ral.data.files import located
from ral.data.sources import parts
from ral.data.tables import TableRows, open_table
from ral.types import UserError

UNPACKED = "outputs/data/unpacked"


def rows_of(path: str | Path, split: str, columns: Sequence[str], unpacked: str | Path = UNPACKED) -> TableRows:
    """Return the rows of a published split. A single file is taken whole, whatever the split.

    Images that are stored as bytes are written to `unpacked`. UserError where the table cannot be read, or the split or
    one of `columns` is missing.
    """
    path = located(path)
    found, shape = open_table(path)
    if isinstance(found, Mapping):
        if split not in found:
            raise UserError(
                f"{path}: has no split '{split}' but {', '.join(found)}; write the path of one of its files"
            )
        found = found[split]
    missing = [column for column in columns if column not in found.features]
    if missing:
        there = ", ".join(found.features)
        raise UserError(f"{path}: has no column '{missing[0]}' but {there}; expected {', '.join(columns)}")
    Path(unpacked).mkdir(parents=True, exist_ok=True)
    return TableRows(found, path, shape, {name: name for name in found.features}, Path(unpacked))


def source_of(
    rows: TableRows, split: str, parse: Parse, media_root: str | Path | None, validation_size: int, limit: int | None
) -> Entries:
    """Return a split of rows that have no split of their own; the last rows are held out (`ral.data.sources.parts`).

    media_root: folder that relative paths of media start from; None: the folder of the table. limit: first training
    rows to keep; None for all. UserError as `parts`, such as for an unknown split.
    """
    root = rows.path.parent if media_root is None else located(media_root)
    return Entries(rows, root, parse, parts(rows.path, split, len(rows), validation_size, limit))
