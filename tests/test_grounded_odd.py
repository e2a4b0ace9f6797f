"""Odd rows of each dataset with evidence: refused in one line that names file and entry, or cut as documented."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grounded_fixtures as fixtures
import pytest
from test_grounded import boxes, refused

from ral.data.entries import Entries
from ral.data.grounded import multihop, nextgqa, refcoco, saliency_r1, treebench, viscot, vstar, zwz
from ral.data.grounded.boxes import cuts
from ral.types import Example, UserError

NAN, INF = math.nan, math.inf
VSTAR_FIRST = "direct_attributes/sa_4690"


# ---------------------------------------------------------------------------------------------- how each is written


def of_vstar(folder: Path, given: Mapping[str, Any]) -> Entries:
    return vstar.read(fixtures.vstar(folder, {**fixtures.VSTAR, VSTAR_FIRST: {**fixtures.VSTAR[VSTAR_FIRST], **given}}))


def of_viscot(folder: Path, given: Mapping[str, Any]) -> Entries:
    """question and answer: of the first and last turn."""
    rows = fixtures.viscot_rows()
    for field, value in given.items():
        if field in TURNS:
            rows[0]["conversations"][TURNS[field]]["value"] = value
        else:
            rows[0][field] = value
    return viscot.read(fixtures.viscot(folder, rows))


TURNS = {"question": 0, "answer": 3}


def of_multihop(folder: Path, given: Mapping[str, Any]) -> Entries:
    rows = fixtures.multihop_rows()
    return multihop.read(fixtures.multihop_spatial(folder, [{**rows[0], **given}, *rows[1:]]))


def of_treebench(folder: Path, given: Mapping[str, Any]) -> Entries:
    return treebench.read(fixtures.treebench(folder, given), unpacked=folder / "unpacked")


def of_nextgqa(folder: Path, given: Mapping[str, Any]) -> Entries:
    return nextgqa.read(fixtures.nextgqa(folder, first=given))


def of_table(rows: Callable[[Path], list[dict[str, Any]]], read: Callable[..., Entries]) -> Callable[..., Entries]:
    """Of a parquet file, whose columns are of one type: all rows are changed."""

    def made(folder: Path, given: Mapping[str, Any]) -> Entries:
        file = fixtures.table(folder / "train.parquet", [{**row, **given} for row in rows(folder)])
        return read(path=file, unpacked=folder / "unpacked")

    return made


def corners(box: Sequence[Any]) -> list[Any]:
    return list(box)


def sized(box: Sequence[Any]) -> list[Any]:
    """x, y, width, height of left, top, right, bottom; what is no box stays."""
    if len(box) != 4 or None in box:
        return list(box)
    left, top, right, bottom = box
    return [left, top, right - left, bottom - top]


def behind_the_name(box: Sequence[Any]) -> list[str]:
    name = "cot/flickr30k/1.jpg"
    return [name, f"{name}###{list(box)}"]


@dataclass(frozen=True)
class Loader:
    """A dataset whose first row can be made odd.

    made(folder, fields of the first row that differ); where: what a refusal of the first row begins with, behind the
    folder; field: of the box, written from its corners by `box`; picture: file of the first row's picture, None where
    it stands in the column `image`, as `stored` writes it.
    """

    made: Callable[[Path, Mapping[str, Any]], Entries]
    where: str
    field: str = "bbox"
    box: Callable[[Sequence[Any]], Any] = corners
    picture: str | None = None
    stored: Callable[[bytes | None], Any] = fixtures.stored


LOADERS = {
    "vstar": Loader(of_vstar, f"{VSTAR_FIRST}.json: entry 1", box=lambda b: [sized(b)], picture=f"{VSTAR_FIRST}.jpg"),
    "viscot": Loader(of_viscot, "viscot_363k.json: entry 1", "image", behind_the_name, picture="cot/flickr30k/1.jpg"),
    "multihop_spatial": Loader(
        of_multihop, "multihop_test_4500.json: entry 1", box=sized, picture="images/000000000001.jpg"
    ),
    "zwz": Loader(
        of_table(fixtures.zwz_rows, lambda **at: zwz.source("train", **at)),
        "train.parquet: entry 1",
        picture="original/1.png",
    ),
    "refcoco": Loader(of_table(lambda _: fixtures.refcoco_rows(), refcoco.read), "train.parquet: entry 1", box=sized),
    "saliency_r1": Loader(
        of_table(lambda _: fixtures.saliency_rows(), lambda **at: saliency_r1.source("train", **at)),
        "train.parquet: entry 1",
    ),
    "treebench": Loader(
        of_treebench,
        "TreeBench.tsv: entry 1",
        "target_instances",
        box=lambda b: str([list(b)]),
        stored=lambda content: base64.b64encode(content or b"").decode(),
    ),
    "nextgqa": Loader(of_nextgqa, "test.csv: entry 1"),
}
IN_PIXELS = [name for name in LOADERS if name not in ("saliency_r1", "nextgqa")]


def seen(example: Example) -> list[tuple[float, ...]]:
    """The spans of a clip, or the boxes in pixels."""
    spans = [e.span for e in example.evidence if e.span is not None]
    return list(spans) if spans else boxes(example)


Wanted = str | tuple[str, ...] | list[tuple[float, ...]]
"""What an odd row must become: a refusal that says this (or one of these), or evidence."""


def judged(name: str, folder: Path, field: str, value: Any, wanted: Wanted) -> None:
    """Compare what the first row becomes with what it must."""
    loader = LOADERS[name]
    entries = loader.made(folder, {field: value})
    if isinstance(wanted, list):
        assert seen(entries[0]) == wanted
        return
    line, said = refused(entries, 0), (wanted,) if isinstance(wanted, str) else wanted
    assert any(text in line for text in said) and line.startswith(f"{folder}/{loader.where}: "), line


# -------------------------------------------------------------------------------------------------------- odd boxes

NO_BOX = ("is not four numbers", "is no list of boxes", "names no box")
"""What is said of a box that holds no number, by how the dataset writes boxes."""
BOXES: list[tuple[list[Any], Wanted]] = [
    ([300.0, 10.0, 320.0, 20.0], "lies outside the picture of 200 x 112"),
    ([-30.0, 10.0, -20.0, 20.0], "lies outside the picture of 200 x 112"),
    ([20.0, 28.0, 20.0, 42.0], "has no area"),
    ([20.0, 28.0, 60.0, 28.0], "has no area"),
    ([60.0, 42.0, 20.0, 28.0], "corners are swapped"),
    ([0.1, 0.2, 0.3, 0.4], "looks like fractions"),
    ([0.5, 0.5, 1.01, 1.02], "looks like fractions"),
    ([20.0, 28.0, 60.0], "is not four numbers"),
    ([20.0, 28.0, 60.0, 42.0, 1.0], "is not four numbers"),
    ([20.0, None, 60.0, 42.0], NO_BOX),
    ([20.0, NAN, 60.0, 42.0], NO_BOX),
    ([20.0, 28.0, INF, 42.0], NO_BOX),
    ([-3.0, 28.0, 60.0, 42.0], [(0, 28, 60, 42)]),
    ([180.0, 100.0, 220.0, 140.0], [(180, 100, 200, 112)]),
    ([0.0, 0.0, 640.0, 480.0], [(0, 0, 200, 112)]),  # as a picture of another size has it
]
"""Corners in pixels of a picture of 200 x 112, and what they must become in every dataset of pixels."""


@pytest.mark.parametrize("name", IN_PIXELS)
@pytest.mark.parametrize(("given", "wanted"), BOXES, ids=str)
def test_odd_boxes(tmp_path: Path, name: str, given: list[Any], wanted: Any) -> None:
    judged(name, tmp_path, LOADERS[name].field, LOADERS[name].box(given), wanted)


@pytest.mark.parametrize("name", [name for name in LOADERS if name != "nextgqa"])
@pytest.mark.parametrize("picture", ["gone", "page", "turned"])
def test_odd_pictures(tmp_path: Path, name: str, picture: str) -> None:
    """A picture that is missing, a web page in its place, and one of which nobody knows how its boxes lie."""
    loader = LOADERS[name]
    content = {"gone": None, "page": b"<html>", "turned": fixtures.encoded("JPEG", turned=True)}[picture]
    if loader.picture is None:
        gone = "" if name == "treebench" else None
        entries = loader.made(tmp_path, {"image": gone if content is None else loader.stored(content)})
    else:
        entries, file = loader.made(tmp_path, {}), tmp_path / loader.picture
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content)
    line = refused(entries, 0)
    said = {
        "gone": ("no such file", "no picture and no clip"),
        "page": ("is no picture that can be read", "no such file"),  # of base64 that is no picture: a file's name
        "turned": ("is turned by its EXIF",),
    }
    assert any(part in line for part in said[picture]) and line.startswith(f"{tmp_path}/{loader.where}: "), line


# ------------------------------------------------------------------------------------------------- rows of each one

TWO = [(20, 28, 60, 42), (0, 0, 10, 10)]
EMPTY = "field 'question': missing or empty"


def timed(*spans: Any, duration: Any = 15) -> dict[str, Any]:
    return {"duration": duration, "location": {"8": list(spans)}, "fps": 29.97}


ROWS: dict[str, list[tuple[str, Any, Wanted]]] = {
    "vstar": [
        ("bbox", None, []),
        ("bbox", [], []),
        ("bbox", [20, 28, 40, 14], [(20, 28, 60, 42)]),
        ("bbox", [[20, 28, 40, 14], [0, 0, 10, 10]], TWO),
        ("bbox", [[20, 28, 40, 14], None], "box None is not four numbers"),
        ("bbox", [["20", "28", "40", "14"]], "is not four numbers"),
        ("bbox", [[True, 28, 40, 14]], "is not four numbers"),
        ("bbox", [[0, 0, 10**400, 14]], "is not four numbers"),
        ("bbox", "20, 28, 40, 14", "is no box"),
        ("bbox", {"x": 20}, "is no box"),
        ("question", "", EMPTY),
        ("question", None, EMPTY),
        ("question", ["Where?"], "field 'question': ['Where?'] is not text"),
        ("options", None, "field 'options': None is no list of options"),
        ("options", ["here"], "field 'options'"),
        ("options", ["red", None], "field 'options'"),
        ("options", ["red", "red"], "may be any of the options A, B"),
        ("options", ["", "red"], "field 'answer': missing or empty"),
        ("options", {"A": "red", "B": "blue"}, "field 'options'"),
    ],
    "viscot": [
        ("image", None, "is no list of a picture"),
        ("image", "cot/flickr30k/1.jpg", "is no list of a picture"),
        ("image", [None], "is no list of a picture"),
        ("image", ["cot/flickr30k/1.jpg"], []),
        ("image", ["cot/flickr30k/1.jpg"] * 2, "names no box"),
        ("image", ["cot/flickr30k/1.jpg", "cot/flickr30k/1.jpg###[a, b, c, d]"], "names no box"),
        ("image", ["cot/flickr30k/1.jpg", "cot/flickr30k/1.jpg###[1_0, 28, 60, 42]"], "names no box"),
        ("image", ["cot/flickr30k/1.jpg", "cot/flickr30k/1.jpg###20, 28, 60, 42"], "names no box"),
        ("image", ["cot/flickr30k/1.jpg", "cot/gqa/3.jpg###[20, 28, 60, 42]"], "the box of another picture"),
        ("image", ["cot/flickr30k/1.jpg", "cot/flickr30k/1.jpg" + "###[1, 2, 3, 4]" * 2], "of another picture"),
        ("image", ["cot/flickr30k/1.jpg", "cot/flickr30k/1.jpg###[20,28,60,42]"], [(20, 28, 60, 42)]),
        ("question", f"<image>\n{fixtures.ASKED}", EMPTY),
        ("question", None, "is another conversation"),
        ("answer", "", "field 'answer': missing or empty"),
        ("answer", 5, "is another conversation"),
        ("conversations", None, "is another conversation"),
        ("conversations", [], "is another conversation"),
        ("conversations", [1, 2, 3, 4], "is another conversation"),
    ],
    "multihop_spatial": [
        ("bbox", None, []),
        ("bbox", [], []),
        ("bbox", [[20.0, 28.0, 40.0, 14.0], [0.0, 0.0, 10.0, 10.0]], TWO),
        ("bbox", ["20", "28", "40", "14"], "is not four numbers"),
        ("bbox", "20, 28, 40, 14", "is no box"),
        ("question", "", "has no options between <choice> and </choice>"),
        ("question", None, "has no options between <choice> and </choice>"),
        ("question", "Which? (a) a cup, (b) a bottle", "has no options between <choice> and </choice>"),
        ("question", "Which? <choice>a cup, a bottle</choice>", "has no options between <choice> and </choice>"),
        ("question", "Which? <choice>(a) a cup, (b) </choice>", "has no options between <choice> and </choice>"),
        ("question", "Which? <choice>(a) a cup, (a) a jug</choice>", "has no options between <choice> and </choice>"),
        ("question", "<choice>(a) a cup, (c) a jug</choice>", EMPTY),
        ("answer", "(e) a jug", "names none of the options a, b, c, d"),
        ("answer", "cat", "names none of the options a, b, c, d"),
        ("answer", 3, "names none of the options a, b, c, d"),
        ("answer", "(b) cat, asleep", "is the letter of one option and the text of another"),
        ("image_resolution", "640x480", "is not the size of"),
        ("image_resolution", [200, 112], "is not the size of"),
        ("image_path", None, "field 'image'"),
        ("image_path", 5, "5 is not a path"),
        ("image_path", "gone.jpg", "no such file"),
    ],
    "zwz": [
        ("bbox", None, []),
        ("bbox", [], []),
        ("bbox", [[20.0, 28.0, 60.0, 42.0], [0.0, 0.0, 10.0, 10.0]], TWO),
        ("bbox", "20, 28, 60, 42", "is no box"),
        ("bbox", ["20", "28", "60", "42"], "is not four numbers"),
        ("original_images", None, "field 'original_images': None is no list of one picture"),
        ("original_images", [], "is no list of one picture"),
        ("original_images", ["original/1.png"] * 2, "is no list of one picture"),
        ("original_images", [5.0], "5.0 is not a path"),
        ("original_images", ["gone.png"], "no such file"),
        ("problem", "", "field 'problem': missing or empty"),
        ("problem", None, EMPTY),
        ("problem", 5.0, "5.0 is not text but a number"),
        ("answer", None, "field 'answer': missing or empty"),
    ],
    "refcoco": [
        ("bbox", None, "is not one box"),
        ("bbox", [], "is not one box"),
        ("bbox", [[20.0, 28.0, 40.0, 14.0], [0.0, 0.0, 9.0, 9.0]], "is not one box"),
        ("bbox", "[20, 28, 40, 14]", "is no box"),
        ("bbox", ["20", "28", "40", "14"], "is not four numbers"),
        ("answer", None, "is no list of expressions"),
        ("answer", "the man", "is no list of expressions"),
        ("answer", [], "is no list of expressions"),
        ("answer", ["  "], "is no list of expressions"),
        ("answer", [5.0], "is no list of expressions"),
        ("image", 5.0, "5.0 is not a path"),
        ("image", {"bytes": None, "path": "gone.png"}, "no such file"),
        ("question_id", None, [(20, 28, 60, 42)]),
    ],
    "saliency_r1": [
        ("bbox", "[1.1, 0.2, 1.3, 0.4]", "lies outside the picture"),
        ("bbox", "[0.1, 0.2, 0.1, 0.4]", "has no area"),
        ("bbox", "[0.3, 0.4, 0.1, 0.2]", "corners are swapped"),
        ("bbox", "[20, 28, 60, 42]", "looks like pixels"),
        ("bbox", "[0.1, 0.2, 0.3, 2.0]", "looks like pixels"),
        ("bbox", "[0.1, 0.2, 0.3]", "is not four numbers"),
        ("bbox", "[0.1, nan, 0.3, 0.4]", "is not four numbers"),
        ("bbox", "[0.1, 0.2, inf, 0.4]", "is not four numbers"),
        ("bbox", "left", "is no box as text"),
        ("bbox", "[0.1 0.2 0.3 0.4]", "is no box as text"),
        ("bbox", "[[0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]]", "is no box as text"),
        ("bbox", [0.1, 0.2, 0.3, 0.4], "is no box as text"),
        ("bbox", 5.0, "is no box as text"),
        ("bbox", None, []),
        ("bbox", "", []),
        ("bbox", "[-0.1, 0.25, 0.3, 0.375]", [(0, 28, 60, 42)]),
        ("bbox", "[0.75, 0.5, 1.0, 1.01]", [(150, 56, 200, 112)]),
        ("problem", " ", "field 'problem': missing or empty"),
        ("problem", ["Where?"], "is not text"),
        ("solution", None, "field 'answer': missing or empty"),
        ("image", {"bytes": None, "path": "gone.png"}, "no such file"),
    ],
    "treebench": [
        ("target_instances", "", []),
        ("target_instances", "[]", []),
        ("target_instances", "[20, 28, 60, 42]", [(20, 28, 60, 42)]),
        ("target_instances", "[[20, 28, 60, 42], [0, 0, 10, 10]]", TWO),
        ("target_instances", '["20", "28", "60", "42"]', "is not four numbers"),
        ("target_instances", "[[True, 28, 60, 42]]", "is not four numbers"),
        ("target_instances", "[20 28 60 42]", "is no list of boxes"),
        ("target_instances", "20 28 60 42", "is no list of boxes"),
        ("target_instances", "{[]: 1}", "field 'target_instances': '{[]: 1}' is no list of boxes"),
        ("target_instances", "(" * 500, "is no list of boxes"),
        ("target_instances", "5", "5 is no box"),
        ("question", "", EMPTY),
        ("answer", "", "field 'answer': missing or empty"),
        ("answer", "Z", "'Z' is none of the options"),
        ("multi-choice options", "", "field 'multi-choice options': missing or empty"),
        ("multi-choice options", "A. red", "field 'options'"),
    ],
    "nextgqa": [
        ("times", timed([20.0, 22.0]), "lies outside the clip of 15 s"),
        ("times", timed([3.0, 3.0]), "ends before it begins"),
        ("times", timed([7.0, 2.5]), "ends before it begins"),
        ("times", timed(["2.5", "7.0"]), "is not two numbers"),
        ("times", timed([2.5]), "is not two numbers"),
        ("times", timed(2.5, 7.0), "is not two numbers"),
        ("times", timed([None, 7.0]), "is not two numbers"),
        ("times", timed([NAN, 7.0]), "is not two numbers"),
        ("times", timed([2.5, INF]), "is not two numbers"),
        ("times", timed([2.5, 7.0], duration=None), "None is no length of a clip"),
        ("times", timed([2.5, 7.0], duration="15"), "'15' is no length of a clip"),
        ("times", timed([2.5, 7.0], duration=0), "0 is no length of a clip"),
        ("times", {"duration": 15, "location": {"8": "2.5-7"}}, "is no list of times"),
        ("times", {"duration": 15, "location": [[2.5, 7.0]]}, "field 'location': [[2.5, 7.0]] is no object"),
        ("times", [15], "field 'times': [15] is no object"),
        ("times", None, []),
        ("times", timed(), []),
        ("times", timed([-1.0, 2.0]), [(0.0, 2.0)]),
        ("times", timed([14.0, 15.3]), [(14.0, 15.0)]),
        ("times", timed([0.5, 3.0], [10.0, 12.5]), [(0.5, 3.0), (10.0, 12.5)]),
        ("question", " ", EMPTY),
        ("answer", "", "field 'answer': missing or empty"),
        ("answer", "sleep", "'sleep' is none of the options"),
        ("a1", "lay on floor", "may be any of the options B, C"),
        ("a1", "", "option 2 is empty"),
        ("video_id", "none", "no such file"),
    ],
}


@pytest.mark.parametrize(
    ("name", "field", "value", "wanted"), [pytest.param(name, *row) for name, rows in ROWS.items() for row in rows]
)
def test_odd_rows(tmp_path: Path, name: str, field: str, value: Any, wanted: Any) -> None:
    judged(name, tmp_path, field, value, wanted)


@pytest.mark.parametrize("name", ["vstar", "viscot", "multihop_spatial", "treebench", "nextgqa"])
def test_an_odd_row_leaves_the_others(tmp_path: Path, name: str) -> None:
    entries = LOADERS[name].made(tmp_path, {"question": ""})
    refused(entries, 0)
    assert all(len(example.evidence) > 0 for example in entries[1:]) and cuts(entries[1:]) == (
        name in ("viscot", "multihop_spatial")
    )


# ------------------------------------------------------------------------------------------------------- odd files


def test_odd_files_of_vstar(tmp_path: Path) -> None:
    file = fixtures.vstar(tmp_path) / f"{VSTAR_FIRST}.json"
    for text, said in (
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"question": "a?", "question": "b?"}', "the key 'question' stands twice"),
        ("[]", "[] is not an object"),
    ):
        file.write_text(text)
        assert said in (line := refused(vstar.read(tmp_path), 0)) and str(file) in line
    file.unlink()
    assert "cannot be read (FileNotFoundError)" in refused(vstar.read(tmp_path), 0)
    with pytest.raises(UserError, match="expected the folders direct_attributes"):
        vstar.read(tmp_path / "direct_attributes")


def test_odd_files_of_nextgqa(tmp_path: Path) -> None:
    fixtures.nextgqa(tmp_path)
    table = tmp_path / "test.csv"
    lines = table.read_text().splitlines()
    for changed in (lines[1] + ",one more", lines[1].rpartition(",")[0]):
        table.write_text("\n".join([lines[0], changed, *lines[2:]]))
        said = refused(nextgqa.read(tmp_path), 0)
        assert "test.csv: entry 1: has another number of cells than the first row" in said
        assert len(nextgqa.read(tmp_path)[1].evidence) == 2
    (tmp_path / "NExTVideo/0101/2574374895.mp4").unlink()
    table.write_text("\n".join(lines))
    assert "no such file" in refused(nextgqa.read(tmp_path), 0)
    for text, said in (
        ("[]", "is no object by the names of clips"),
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
    ):
        (tmp_path / "map_vid_vidorID.json").write_text(text)
        with pytest.raises(UserError, match=said):
            nextgqa.read(tmp_path)
    (tmp_path / "map_vid_vidorID.json").write_text(json.dumps({}))
    with pytest.raises(UserError, match="cannot be read"):
        nextgqa.read(tmp_path, split="val")
