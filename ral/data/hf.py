"""Hugging Face datasets on disk: a folder of `save_to_disk`, or parquet. Columns become the fields of raw entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ral.data.entries import Entries
from ral.data.fields import Entry
from ral.data.files import located
from ral.data.sources import TRAINING, parse_own, parts
from ral.data.stray import unread_medium
from ral.data.tables import EMPTY, MEDIA_FIELDS, STORED, TableRows, open_table
from ral.types import Example, UserError

CHATS = ("messages", "conversations", "prompt")
STAND_INS = {  # columns of which one has to be there where the column of the field's own name is not
    "question": ("problem", *CHATS),
    "answer": ("solution", "reward_model", "chosen", *CHATS),
    "image": ("images", "video", "videos", "path", *CHATS),
}


def _holds_media(feature: Any) -> bool:
    """Tell whether a column holds images or videos, by its type."""
    inner = feature[0] if isinstance(feature, list) else getattr(feature, "feature", feature)
    return type(inner).__name__ in ("Image", "Video") or (isinstance(inner, dict) and inner.keys() == STORED)


def _check_columns(path: Path, columns: Mapping[str, str], there: Mapping[str, Any]) -> None:
    """Raise UserError for a column that is asked for and missing.

    A column with the field's own name may be missing; for the fields of STAND_INS only where another column stands in.
    """
    for field, column in columns.items():
        if column in there or (field == column and (field not in STAND_INS or there.keys() & STAND_INS[field])):
            continue
        write = f"write dataset.source.columns.{field}=<one of {', '.join(there)}>, or null"
        raise UserError(f"{path}: has no column '{column}' for the field '{field}'; {write}")


def fields_of(path: Path, columns: Mapping[str, str | None], there: Mapping[str, Any]) -> dict[str, str]:
    """Return {field: column} for a table. there: {column of the table: its type}.

    columns: {field: column}, None for a field that is not read. All other columns keep their names, except
    conversations where the question comes from a column of another name, and `path` beside other media. UserError where
    a column is missing, or where the only images or videos would not be read.
    """
    used = {field: column for field, column in columns.items() if column is not None}
    _check_columns(path, used, there)
    fields = {field: column for field, column in used.items() if column in there}
    spoken_of = {*columns, *used.values()}
    if fields.get("question", "question") != "question":
        spoken_of.update(CHATS)
    fields |= {column: column for column in there if column not in spoken_of}
    media = [field for field in MEDIA_FIELDS if field in fields]
    if len(media) > 1 and "path" not in used:
        fields.pop("path", None)
    left_out = [column for column, feature in there.items() if _holds_media(feature)]
    if not media and left_out and columns.get("image", "image") is not None:
        write = f"write dataset.source.columns.image={left_out[0]}, or null for text alone"
        raise UserError(f"{path}: its column '{left_out[0]}' holds pictures or clips, and no field reads it; {write}")
    return fields


def _parse_text(entry: Entry) -> Example:
    """Return the example of an entry as text alone, without media in fields that nothing reads."""
    said = {name: value for name, value in entry.data.items() if not unread_medium(name, value)}
    return parse_own(replace(entry, data=said))


def hf(
    split: str,
    *,
    path: str | Path,
    columns: Mapping[str, str | None],
    unpacked: str | Path,
    media_root: str | Path | None = None,
    train_split: str = "train",
    validation_split: str = "validation",
    validation_size: int = 256,
    limit: int | None = None,
) -> Entries:
    """Return a split of a Hugging Face dataset on disk.

    columns: {field, as in `ral.data.sources.jsonl`: column}, None for a field that is not read. A column with the
    field's own name may be missing (for question, answer and image only where another column stands in); columns that
    are not named keep their names. train_split, validation_split: the splits to use where the dataset has splits of its
    own (those of save_to_disk, or in the names of parquet files or their folders). Without a validation split the last
    `validation_size` rows are held out, as in `ral.data.sources.video_r1`. unpacked: folder for media that are stored
    as bytes. media_root: folder that relative paths start from; None: the folder that holds `path`. limit: first
    entries of the training split to keep; None for all. UserError for a missing split or column, and for a table
    without rows.
    """
    path, unpacked, training = located(path), Path(unpacked), split in TRAINING
    (found, shape), name = open_table(path), train_split if training else validation_split
    if isinstance(found, Mapping) and train_split not in found:
        raise UserError(
            f"{path}: has no split '{train_split}'; write dataset.source.train_split=<{' or '.join(found)}>"
        )
    apart = isinstance(found, Mapping) and validation_split in found
    table = found[name if apart else train_split] if isinstance(found, Mapping) else found
    if not len(table):
        of = f"its split '{name if apart else train_split}' " if isinstance(found, Mapping) else ""
        raise UserError(f"{path}: {of}{EMPTY}")
    fields = fields_of(path, columns, table.features)
    whole = range(len(table))[: limit if training else None]
    part = whole if apart else parts(path, split, len(table), validation_size, limit)
    unpacked.mkdir(parents=True, exist_ok=True)
    root = path.parent if media_root is None else located(media_root)
    distinct = f"{path.stem}-{name}" if apart and not training else None  # entries of both splits begin at 1
    parse = parse_own if columns.get("image", "image") else _parse_text
    return Entries(TableRows(table, path, shape, fields, unpacked), root, parse, part, distinct)
