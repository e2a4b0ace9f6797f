"""Options in columns of one name with a running index or letter: never passed over, and never seen where none are."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ral.data.bad import BadSample
from ral.data.fields import Entry
from ral.data.hf import hf
from ral.data.parse import parse_own, parse_video_r1
from ral.data.sources import jsonl
from ral.types import Example

TEXTS = ("pour the tea", "fold the map", "tie a knot")
FORMS: list[Sequence[str]] = [
    ("a0", "a1", "a2"),
    ("option 0", "option 1", "option 2"),
    ("Choice A", "Choice B", "Choice C"),
    ("opa", "opb", "opc"),
    ("ans0", "ans1", "ans2"),
    ("answer1", "answer2", "answer3"),
    ("answerA", "answerB", "answerC"),
    ("mc_0", "mc_1", "mc_2"),
    ("cand0", "cand1", "cand2"),
    ("ending_01", "ending_02", "ending_03"),
    ("pick_0_text", "pick_1_text", "pick_2_text"),
    ("A_text", "B_text", "C_text"),
    ("1", "2", "3"),
]


def read(answer: Any, question: str = "What does she do?", **fields: Any) -> Example:
    return parse_own(Entry(Path("d"), 1, {"question": question, "answer": answer, "images": [], **fields}, Path()))


def refused(answer: Any, **fields: Any) -> str:
    with pytest.raises(BadSample) as caught:
        read(answer, **fields)
    return str(caught.value)


@pytest.mark.parametrize("answer", [1, "2", "C", "(b)", "B. fold the map", "Fold the map"])
@pytest.mark.parametrize("names", FORMS)
def test_columns_with_a_running_index_are_named(names: Sequence[str], answer: Any) -> None:
    message = refused(answer, **dict(zip(names, TEXTS, strict=True)))
    assert f"nothing reads {', '.join(names)}, and they look like the options of its answer" in message
    assert "\"options\": ['pour the tea', 'fold the map', 'tie a knot']" in message
    assert ("in place of" in message) == (answer in (1, "2"))


def test_the_name_of_a_column_is_its_option() -> None:
    assert "nothing reads a0, a1" in refused("a1", a0="tea", a1="map")
    assert "nothing reads a0, a1" in refused("map", a0="tea", a1="map", a2=None, a3="", a4="far")


def test_wrong_options_count_without_the_right_one() -> None:
    message = refused("a knot", distractor1="a bow", distractor2="a braid")
    assert "nothing reads distractor1, distractor2" in message
    assert "\"options\": ['a knot', 'a bow', 'a braid']" in message


@pytest.mark.parametrize(
    ("answer", "fields"),
    [
        ("seven", {"a0": "tea", "a1": "map"}),
        ("9", {"a0": "tea", "a1": "map"}),
        ("1", {"a0": "tea"}),
        ("1", {"a1": "tea", "b1": "map"}),
        ("1", {"a2": "tea", "a3": "map"}),
        ("2", {"x1": 1, "x2": 5, "box_0": 3, "box_1": 4, "hint_1": "near", "hint_2": "far"}),
        ("yes", {"answer1": "yes", "answer2": "yes", "answer3": "no"}),
        ("1", {"a0": ["x"], "a1": {"y": 1}}),
    ],
)
def test_what_is_no_list_of_options_is_let_be(answer: str, fields: dict[str, Any]) -> None:
    assert (read(answer, **fields).answer, read(answer, **fields).options) == (answer, ())


def test_pictures_in_columns_are_no_options(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"not opened")
    fields = {"question": "Which?", "answer": "1", "image": "a.png", "view_0": "a.png", "view_1": "b.png"}
    assert parse_own(Entry(tmp_path / "d", 1, fields, tmp_path)).answer == "1"


def test_options_that_are_read_or_asked_for_in_the_text_are_enough() -> None:
    columns = {"a0": "tea", "a1": "map"}
    assert read("map", options=["tea", "map"], **columns).answer == "B"
    assert read("map", "Is it tea or map?", **columns).answer == "map"
    assert "nothing reads a0" in refused("1", question="Is it tea or map?", **columns)
    assert read("map", problem_type="free-form", **columns).problem_type == "free-form"
    assert read("1", problem_type="numerical", **columns).problem_type == "numerical"
    assert "nothing reads a0" in refused("map", problem_type="multiple choice", **columns)


def test_every_reader_refuses_them(tmp_path: Path) -> None:
    row = {"question": "What does she do?", "answer": "1", "images": "[]", "a0": "tea", "a1": "map"}
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row | {"images": [], "id": n}) + "\n" for n in range(2)))
    with (tmp_path / "d.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerows([row.keys(), row.values(), row.values()])
    for name in ("d.jsonl", "d.csv"):
        with pytest.raises(BadSample, match="nothing reads a0, a1"):
            _ = jsonl("train", path=tmp_path / name, validation_size=1, unpacked=tmp_path / "u")[0]
    entry = {"problem_id": 1, "problem": "What?", "problem_type": "multiple choice", "solution": "<answer>B</answer>"}
    with pytest.raises(BadSample, match="nothing reads a0, a1"):
        parse_video_r1(Entry(Path("d"), 1, {**entry, "path": "a.png", "data_type": "image", **row}, Path()))


def test_a_table_is_read_by_naming_its_columns(tmp_path: Path) -> None:
    import datasets

    row = {"question": "What?", "answer": "map", "image": None, "first": 0, "a0": "tea", "a1": "map", "images": []}
    datasets.Dataset.from_list([row, row]).save_to_disk(str(tmp_path / "t"))
    columns: dict[str, str | None] = {"question": "question", "answer": "answer", "image": None}

    def first(**named: str) -> Example:
        return hf("train", path=tmp_path / "t", columns=columns | named, unpacked=tmp_path / "u", validation_size=1)[0]

    with pytest.raises(BadSample) as caught:
        first()
    assert "dataset=hf +dataset.source.columns.A=a0 +dataset.source.columns.B=a1" in str(caught.value)
    assert first(A="a0", B="a1").options == ("A. tea", "B. map") and first(A="a0", B="a1").answer == "B"
