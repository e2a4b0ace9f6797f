"""Visual-CoT (Shao et al. 2024, arXiv 2403.16999): viscot_363k.json of deepcs233/Visual-CoT.

An array of objects with `image`, ["FILE", "FILE###[left, top, right, bottom]"], the box in pixels of FILE, and
`conversations` of four turns: a question, which ends by asking for a box; the box; the crop; the answer. The box in the
second turn refers to the image padded to a square, so it is not read. This is how the authors' training and evaluation
code reads them (llava/train/train.py, llava/eval/model_cot_loader.py); the file itself was not seen.
"""

from __future__ import annotations

import re
from pathlib import Path

from ral.data.entries import Entries
from ral.data.fields import Entry, shown
from ral.data.files import UNPACKED
from ral.data.grounded.boxes import CORNERS, as_own, numbers, on_picture
from ral.data.names import entry_name
from ral.data.sources import file_split, read_file
from ral.types import Example

ASKS_FOR_A_BOX = re.compile(r"\s*Please provide the bounding box.*\Z", re.DOTALL)
_BOX = re.compile(r"(.*?)###\s*\[([^\]]*)\]\s*", re.DOTALL)
PICTURES = '["a.jpg", "a.jpg###[10, 20, 110, 220]"]'
TURNS = "four turns with a `value`: question, box, picture, answer"


def parse(entry: Entry) -> Example:
    """Return the example of one conversation. BadSample where a field is missing or malformed.

    Its uid begins with the dataset that the image is from: the first folder of the image's path other than "cot".
    """
    pictures, turns = entry.data.get("image"), entry.data.get("conversations")
    if not isinstance(pictures, list) or not pictures or not all(isinstance(name, str) for name in pictures):
        entry.fail("image", f"{shown(pictures)} is no list of a picture and its part", PICTURES)
    values = [turn.get("value") for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []
    said = [text for text in values if isinstance(text, str)]
    if len(said) != 4 or len(values) != 4:
        entry.fail("conversations", f"{shown(turns)} is another conversation", TURNS)
    question = ASKS_FOR_A_BOX.sub("", said[0].replace("<image>", "")).strip()
    name = entry_name(entry.data, entry.number, ("question_id", "id"))
    group = next((part for part in Path(pictures[0]).parts if part not in ("cot", "/")), "")
    fields = {"question": question, "answer": said[3].strip(), "image": pictures[0]}
    example = as_own(entry, f"{group}/{name}#{entry.number}", fields)
    return on_picture(entry, example, "image", _box(entry, pictures), CORNERS)


def _box(entry: Entry, pictures: list[str]) -> list[float] | None:
    """Return the box, in pixels, in the second image's name; None where there is no second image.

    BadSample where the name has no box, or the box of another image.
    """
    if len(pictures) < 2:
        return None
    found = _BOX.fullmatch(pictures[1])
    try:
        box = numbers(found[2]) if found else None
    except ValueError:
        box = None
    if found is None or box is None:
        entry.fail("image", f"{shown(pictures[1])} names no box", PICTURES)
    if found[1] != pictures[0]:
        problem = f"{shown(pictures[1])} holds the box of another picture than {shown(pictures[0])}"
        entry.fail("image", problem, PICTURES)
    return box


def read(path: str | Path, *, media_root: str | Path | None = None) -> Entries:
    """Return all entries of viscot_363k.json. media_root: folder of the images; None: the folder of the file."""
    return read_file(Path(path), media_root=None if media_root is None else Path(media_root), parse=parse)


def source(
    split: str,
    *,
    path: str | Path,
    media_root: str | Path | None = None,
    validation_path: str | Path | None = None,
    validation_size: int = 256,
    limit: int | None = None,
    unpacked: str | Path = UNPACKED,
) -> Entries:
    """Return the examples of a split of the file. Parameters and errors are those of `ral.data.sources.video_r1`."""
    return file_split(split, path, media_root, validation_path, validation_size, limit, parse, unpacked)
