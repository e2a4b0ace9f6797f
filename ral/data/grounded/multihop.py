"""MultihopSpatial (Lee et al. 2026, arXiv 2603.18892): the two files of etri-vilab/MultihopSpatial, data/*.json.

An array of objects with `image_path` (below data/images), `question` ("... <choice>(a) a cup, (b) a bottle</choice>
...", which ends by asking for a box), `answer` ("(b) a bottle"), `bbox` ([x, y, width, height] in pixels, which may
reach over an edge), `image_resolution` ("640x480"), `view` (ego or exo), `hop` (1hop to 3hop) and `id`; `question_tag`,
the question with marks on its words, is not read. This is how the authors' train/prepare_data.py and
eval/benchmark_qwen.py read them, and how rows of the test file stand in their eval/results_ckpt800/results.json.
"""

from __future__ import annotations

import re
from pathlib import Path

from ral.data.entries import Entries
from ral.data.fields import Entry, shown
from ral.data.files import UNPACKED, located
from ral.data.grounded.boxes import SIZES, as_own, on_picture, size_of
from ral.data.names import entry_name
from ral.data.sources import file_split, read_file
from ral.types import Example

QUESTION = re.compile(r"\s*(.*?)\s*<choice>(.*?)</choice>.*", re.DOTALL)
OPTION = re.compile(r"\(([a-z])\)\s*")
ASKED = '"Which ...? <choice>(a) a cup, (b) a bottle</choice> ..."'
IMAGES = "images"
"""Folder beside the file, from which paths of images start."""


def parse(entry: Entry) -> Example:
    """Return the example of one row. Its uid begins with the question's number of hops and its view.

    BadSample where a field is missing or malformed.
    """
    data = entry.data
    question, options = _asked(entry)
    image = data.get("image_path")
    fields = {
        "question": question,
        "options": list(options.values()),
        "image": image.lstrip("/\\") if isinstance(image, str) else image,
    }
    group = f"{data.get('hop')} {data.get('view')}".replace("/", " ")
    uid = f"{group}/{entry_name(data, entry.number, ('id',))}#{entry.number}"
    example = as_own(entry, uid, fields | {"answer": _right(entry, options)})
    declared = data.get("image_resolution")
    if declared is not None and declared != "{}x{}".format(*size_of(entry, "image", example.media[0])):
        problem = f"{shown(declared)} is not the size of {example.media[0].path}, so that its box is of another picture"
        entry.fail("image_resolution", problem, "the picture as it was published")
    return on_picture(entry, example, "bbox", data.get("bbox"), SIZES)


def _asked(entry: Entry) -> tuple[str, dict[str, str]]:
    """Return the question without its request for a box, and {letter: option}."""
    value = entry.data.get("question")
    found = QUESTION.fullmatch(value) if isinstance(value, str) else None
    letters, texts = (OPTION.split(found[2])[at::2] for at in (1, 2)) if found else ([], [])
    options = dict(zip(letters, (text.strip().rstrip(",").strip() for text in texts), strict=True))
    if found is None or len(options) < 2 or len(options) < len(letters) or not all(options.values()):
        entry.fail("question", f"{shown(value)} has no options between <choice> and </choice>", ASKED)
    return found[1], options


def _right(entry: Entry, options: dict[str, str]) -> str:
    """Return the text of the right option, whose letter `answer` names.

    BadSample where `answer` names no option, or the letter of one option and the text of another.
    """
    value = entry.data.get("answer")
    found = OPTION.match(value) if isinstance(value, str) else None
    if found is None or found[1] not in options:
        entry.fail("answer", f"{shown(value)} names none of the options {', '.join(options)}", '"(b) a bottle"')
    said = found.string[found.end() :].strip()
    if said in options.values() and said != options[found[1]]:
        entry.fail("answer", f"{shown(value)} is the letter of one option and the text of another", '"(b) a bottle"')
    return options[found[1]]


def _root(path: str | Path, media_root: str | Path | None) -> Path:
    return located(path).parent / IMAGES if media_root is None else Path(media_root)


def read(path: str | Path, *, media_root: str | Path | None = None) -> Entries:
    """Return all entries of a file. media_root: folder of the images; None: the folder images/ beside the file."""
    return read_file(Path(path), media_root=_root(path, media_root), parse=parse)


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
    """Return the examples of a split of the file. media_root: as in `read`.

    The other parameters and errors are those of `ral.data.sources.video_r1`.
    """
    root = _root(path, media_root)
    return file_split(split, path, root, validation_path, validation_size, limit, parse, unpacked)
