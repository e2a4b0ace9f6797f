"""Saliency-R1-8k (Gong et al. 2026, arXiv 2604.04500): peterant330/saliency-r1-8k, parquet.

Columns image, problem, solution, and bbox: "[left, top, right, bottom]" as text, in fractions of the image. This is how
the authors' training code reads them (trl/grpo_vlm.py, trl/rewards/saliency_rewards.py); the data were not seen.
"""

from __future__ import annotations

from pathlib import Path

from ral.data.entries import Entries
from ral.data.fields import Entry
from ral.data.grounded.boxes import CORNERS, as_own, numbers_in, on_picture
from ral.data.grounded.tables import UNPACKED, rows_of, source_of
from ral.data.names import entry_name
from ral.types import Example

COLUMNS = ("image", "problem", "solution", "bbox")


def parse(entry: Entry) -> Example:
    """Return the example of one row. BadSample where a column is missing or malformed."""
    fields = {name: entry.data.get(name) for name in ("problem", "solution", "image")}
    example = as_own(entry, f"saliency_r1/{entry_name(entry.data, entry.number)}#{entry.number}", fields)
    return on_picture(entry, example, "bbox", numbers_in(entry, "bbox", CORNERS), CORNERS, fractions=True)


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
