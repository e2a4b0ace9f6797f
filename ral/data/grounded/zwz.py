"""ZwZ-RL-VQA (Wei et al. 2026, arXiv 2602.11858): train.parquet of inclusionAI/ZwZ-RL-VQA.

Columns images (with a red box drawn in), original_images (without the box), problem (options included), answer, and
bbox: [left, top, right, bottom] in pixels of the original image. All but original_images are as the authors'
convert_jsonl2parquet.py writes them; that one is as its users describe it. The data were not seen.
"""

from __future__ import annotations

from pathlib import Path

from ral.data.entries import Entries
from ral.data.fields import Entry, shown
from ral.data.grounded.boxes import CORNERS, as_own, on_picture
from ral.data.grounded.tables import UNPACKED, rows_of, source_of
from ral.data.names import entry_name
from ral.types import Example

COLUMNS = ("original_images", "problem", "answer", "bbox")


def parse(entry: Entry) -> Example:
    """Return the example of one row, with the image into which no box is drawn.

    BadSample where a column is missing or malformed.
    """
    pictures = entry.data.get("original_images")
    if not isinstance(pictures, list) or len(pictures) != 1:
        entry.fail("original_images", f"{shown(pictures)} is no list of one picture", '["pictures/1.jpg"]')
    fields = {"problem": entry.data.get("problem"), "answer": entry.data.get("answer"), "image": pictures[0]}
    uid = f"zwz/{entry_name(entry.data, entry.number)}#{entry.number}"
    return on_picture(entry, as_own(entry, uid, fields), "bbox", entry.data.get("bbox"), CORNERS)


def source(
    split: str,
    *,
    path: str | Path,
    media_root: str | Path | None = None,
    validation_size: int = 256,
    limit: int | None = None,
    unpacked: str | Path = UNPACKED,
) -> Entries:
    """Return the examples of a split. The last `validation_size` rows (at most a fifth) are held out.

    media_root: folder that relative paths of images start from; None: the folder of the table. limit: first training
    rows to keep; None for all. unpacked: folder for images that are stored as bytes. UserError as `source_of`, such as
    for an unknown split, and for a table that cannot be read or lacks a column.
    """
    rows = rows_of(path, "train", COLUMNS, unpacked)
    return source_of(rows, split, parse, media_root, validation_size, limit)
