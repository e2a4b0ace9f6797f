"""V* in its original layout (Wu and Xie 2023, arXiv 2312.14135): craigwu/vstar_bench, a JSON file beside each image.

Such as direct_attributes/sa_4690.jpg with sa_4690.json, whose keys are question, options (the right one first),
target_object (names) and bbox, a box for each object: [x, y, width, height] in pixels. As in the authors'
vstar_bench_eval.py.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from ral.data.bad import BadSample
from ral.data.entries import Entries
from ral.data.fields import IMAGE_SUFFIXES, Entry, shown
from ral.data.files import located
from ral.data.grounded.boxes import SIZES, as_own, on_picture
from ral.data.jsontext import parsed
from ral.data.sources import parts
from ral.types import Example, UserError

EXPECTED = "the folders direct_attributes and relative_position, in each of them NAME.jpg and NAME.json"
ROW = '{"question": ..., "options": [...], "bbox": [[x, y, width, height]]}'


class JsonBeside:
    """The rows of a folder of folders, one for each name that has an image or a JSON file.

    UserError where there is no JSON file.
    """

    shape = "a JSON file beside each picture"

    def __init__(self, path: Path) -> None:
        self.path = path
        files = [file for file in sorted(path.glob("*/*")) if file.suffix.lower() in {".json", *IMAGE_SUFFIXES}]
        self.names = sorted({file.with_suffix("") for file in files})
        beside = [file for file in files if file.suffix.lower() != ".json"]
        self.pictures = {file.with_suffix(""): str(file.relative_to(path)) for file in beside}
        if not any(file.suffix == ".json" for file in files):
            raise UserError(f"{path}: no picture with a JSON file beside it; expected {EXPECTED}")

    def __len__(self) -> int:
        return len(self.names)

    def row(self, index: int) -> dict[str, Any]:
        """Return the JSON object at a position, with `id`, `file` (the JSON file) and `picture` (the image) added.

        BadSample where the file cannot be read, or is no JSON object.
        """
        name = self.names[index]
        file = Path(f"{name}.json")
        try:
            found = parsed(file.read_bytes())
        except OSError as error:
            raise BadSample(file, f"cannot be read ({type(error).__name__})", "write it beside its picture") from error
        except (ValueError, RecursionError) as error:
            raise BadSample(file, f"not JSON that can be read: {error}", f"write {ROW}") from error
        if not isinstance(found, dict):
            raise BadSample(file, f"{shown(found)} is not an object", f"write {ROW}")
        own = f"{name.parent.name}/{name.name}"
        return {**found, "id": own, "file": str(file), "picture": self.pictures.get(name, f"{own}.jpg")}

    def ids(self) -> list[dict[str, str]]:
        """Return {"id": folder/name} of all rows, for `ral.data.names.repeated`."""
        return [{"id": f"{name.parent.name}/{name.name}"} for name in self.names]


def parse(entry: Entry) -> Example:
    """Return the example of one JSON file. BadSample where a key is missing or malformed.

    The right option is the first one in all files, so the options are put in an order drawn by the file's name.
    """
    data, entry = entry.data, replace(entry, file=Path(entry.data["file"]))
    options = data.get("options")
    if not isinstance(options, list) or len(options) < 2 or not all(isinstance(o, str) for o in options):
        entry.fail("options", f"{shown(options)} is no list of options", 'texts, the right one first: ["red", "blue"]')
    mixed = random.Random(data["id"]).sample(options, len(options))
    fields = {"question": data.get("question"), "options": mixed, "answer": options[0], "image": data["picture"]}
    return on_picture(entry, as_own(entry, data["id"], fields), "bbox", data.get("bbox"), SIZES)


def read(path: str | Path) -> Entries:
    """Return all entries of a folder. UserError for one of another layout."""
    rows = JsonBeside(located(path))
    return Entries(rows, rows.path, parse, range(len(rows)))


def source(
    split: str,
    *,
    path: str | Path,
    media_root: str | Path | None = None,
    validation_size: int = 32,
    limit: int | None = None,
) -> Entries:
    """Return the examples of a split. The last `validation_size` entries (at most a fifth) are held out.

    media_root: the folder that holds the folders of images; None where these lie beside their JSON files. limit: first
    training entries to keep; None for all. UserError for another layout, and as `ral.data.sources.parts`, such as for
    an unknown split.
    """
    rows = JsonBeside(located(path))
    root = rows.path if media_root is None else located(media_root)
    return Entries(rows, root, parse, parts(rows.path, split, len(rows), validation_size, limit))
