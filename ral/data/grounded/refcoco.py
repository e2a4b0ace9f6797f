"""RefCOCO, RefCOCO+ and RefCOCOg (Kazemzadeh et al. 2014; Yu et al. 2016) as lmms-lab publishes them, in parquet.

Columns question_id, image, question, answer (the expressions that refer to one object), segmentation, bbox ([x, y,
width, height] in pixels), iscrowd, file_name, as on the card of lmms-lab/RefCOCOg. The published question asks for a
caption of a region that is drawn into the image. Here nothing is drawn, and the question asks for the box of the object
that the first expression refers to.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ral.data.entries import Entries
from ral.data.fields import Entry, shown
from ral.data.grounded.boxes import SIZES, as_own, boxes_of, size_of
from ral.data.grounded.tables import UNPACKED, rows_of
from ral.data.names import entry_name
from ral.types import Example

COLUMNS = ("question_id", "image", "answer", "bbox")
ASKED = 'Where is "{}"? Answer with its box: [left, top, right, bottom] as fractions of the picture, from 0 to 1.'


def parse(entry: Entry) -> Example:
    """Return the example of one object; its gold answer is the box as text. BadSample for an object without one box."""
    data, said = entry.data, entry.data.get("answer")
    if not isinstance(said, list) or not said or not isinstance(said[0], str) or not said[0].strip():
        entry.fail("answer", f"{shown(said)} is no list of expressions", 'texts such as ["the man on the left"]')
    fields = {"question": ASKED.format(said[0].strip()), "answer": "[0, 0, 1, 1]", "image": data.get("image")}
    name = entry_name(data, entry.number, ("question_id",))
    example = as_own(entry, f"{entry.file.stem.split('-')[0]}/{name}", fields)
    evidence = boxes_of(entry, "bbox", data.get("bbox"), size_of(entry, "image", example.media[0]), SIZES)
    if len(evidence) != 1:
        entry.fail("bbox", f"{shown(data.get('bbox'))} is not one box", f"[{SIZES}] in pixels")
    answer = ", ".join(f"{x:.3f}" for x in evidence[0].box)
    return replace(example, answer=f"[{answer}]", evidence=evidence)


def read(path: str | Path, *, split: str = "val", unpacked: str | Path = UNPACKED) -> Entries:
    """Return the objects of a published split, or of one parquet file.

    unpacked: folder for images that are stored as bytes. UserError where the split or a column is missing.
    """
    rows = rows_of(path, split, COLUMNS, unpacked)
    return Entries(rows, rows.path.parent, parse, range(len(rows)))
