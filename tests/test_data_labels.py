"""Entries with labels of other scripts, small column letters, two thoughts, and media that nothing reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ral.data.bad import BadSample
from ral.data.fields import Entry
from ral.data.parse import parse_own
from ral.types import Example

ASKED = {"question": "Which?", "images": []}


def parsed(tmp_path: Path, **fields: Any) -> Example:
    return parse_own(Entry(tmp_path / "data.json", 1, json.loads(json.dumps(ASKED | fields)), tmp_path))


@pytest.mark.parametrize(
    ("options", "answer", "letter"),
    [
        (["甲、红", "乙、蓝", "丙、绿"], "乙", "B"),
        (["甲、红", "乙、蓝"], "蓝", "B"),
        (["甲. 红", "乙. 蓝"], "甲", "A"),
        (["(一) 红", "(二) 蓝"], "二", "B"),
        (["一、红", "二、蓝"], "一、红", "A"),
        (["가. 빨강", "나. 파랑"], "나", "B"),
        (["ア. 赤", "イ. 青"], "イ. 青", "B"),
        (["A. red", "B. blue"], "选B", "B"),
        (["A. red", "B. blue"], "答案：B", "B"),
        (["A. red", "B. blue"], "答案是A", "A"),
        (["A. red", "B. blue"], "故选B", "B"),
        (["A. red", "B. blue"], "选择 B", "B"),
    ],
)  # fmt: skip
def test_labels_of_other_scripts_are_places(tmp_path: Path, options: list[str], answer: str, letter: str) -> None:
    example = parsed(tmp_path, options=options, answer=answer)
    assert example.answer == letter and example.problem_type == "multiple choice"


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        (["甲、红", "乙、蓝"], "丙"), (["乙、蓝", "甲、红"], "丙"), (["A. red", "B. blue"], "选C"),
        (["A. red", "B. blue"], "不选B"),
    ],
)  # fmt: skip
def test_labels_that_are_no_option_are_refused(tmp_path: Path, options: list[str], answer: str) -> None:
    with pytest.raises(BadSample, match="answer"):
        parsed(tmp_path, options=options, answer=answer)


def test_small_letters_name_columns_of_options(tmp_path: Path) -> None:
    example = parsed(tmp_path, a="red", b="blue", c="green", answer="b")
    assert example.options == ("A. red", "B. blue", "C. green") and example.answer == "B"
    assert not parsed(tmp_path, a="see the note", answer="red").options


def test_thoughts_that_differ_are_refused(tmp_path: Path) -> None:
    assert parsed(tmp_path, answer="red", thought="It is red.", process="<think>It is red.</think>").thought
    with pytest.raises(BadSample, match="field 'process': there is thought, too, and the two differ"):
        parsed(tmp_path, answer="red", thought="It is red.", process="It is blue.")


@pytest.mark.parametrize("name", ["image_path", "video_path", "img", "image_1", "frames", "picture"])
def test_a_medium_under_an_unread_name_is_named(tmp_path: Path, name: str) -> None:
    value = ["1.png", "2.png"] if name == "frames" else "clip.mp4" if name == "video_path" else "cat.png"
    data = {"question": "Which?", "answer": "red", name: value}
    with pytest.raises(BadSample, match=f"field '{name}': nothing reads it"):
        parse_own(Entry(tmp_path / "data.json", 1, data, tmp_path))


PICTURE = {"bytes": b"\x89PNG...", "path": None}


@pytest.mark.parametrize("name", ["image_1", "img", "decoded_image", "original_image", "picture", "shown"])
@pytest.mark.parametrize("beside", [{"images": []}, {"image": None}, {}])
def test_a_medium_that_nothing_reads_is_named_beside_no_media(
    tmp_path: Path, name: str, beside: dict[str, Any]
) -> None:
    """Whatever says that there are none: a table without a column of a known name has "images": []."""
    for value in (PICTURE, [PICTURE], "a.png", {"path": "a.png"}):
        data = {"question": "Which?", "answer": "red", name: value, **beside}
        with pytest.raises(BadSample, match=rf"field '{name}': nothing reads it.*or leave it out for text alone"):
            parse_own(Entry(tmp_path / "data.json", 1, data, tmp_path))


@pytest.mark.parametrize(
    ("fields", "of_table"),
    [({"image_path": "coco/000001"}, False), ({"imgUrl": "https://a.b/c?d=1"}, False), ({"img": b"123"}, True)],
)
def test_a_name_says_that_a_value_is_a_medium(tmp_path: Path, fields: dict[str, Any], of_table: bool) -> None:
    file = tmp_path / ("data.parquet" if of_table else "data.json")
    data = {"question": "Which?", "answer": "red", "images": [], **fields}
    with pytest.raises(BadSample, match=f"field '{next(iter(fields))}': nothing reads it") as raised:
        parse_own(Entry(file, 1, data, tmp_path))
    assert ("dataset.source.columns.image=img)" in str(raised.value)) is of_table


@pytest.mark.parametrize(
    "fields",
    [
        *[{"image_1": None}, {"image": None}, {"image_id": "0001"}, {"image_caption": "a cat/a dog at home"}],
        *[{"picture": "none"}, {"has_image": False}, {"note": "see data: it is old"}, {"hash": b"12"}, {"clip": ""}],
        *[{"img": {"bytes": None, "path": None}}, {"frames": []}, {"note": "the file is called a.png"}],
        *[{"question": "What is logo.png?", "answer": "logo.png"}, {"id": "a.png"}],
    ],
    ids=str,
)
def test_what_is_no_medium_leaves_text_alone(tmp_path: Path, fields: dict[str, Any]) -> None:
    data = {"question": "Which?", "answer": "red", "images": [], **fields}
    assert not parse_own(Entry(tmp_path / "data.json", 1, data, tmp_path)).media


def test_a_mark_of_sound_is_named(tmp_path: Path) -> None:
    data = {"question": "<audio>Which?", "answer": "red", "images": [], "audios": ["a.wav"]}
    for beside in ({}, {"images": ["1.png"], "question": "<image><audio>Which?"}):
        Image.new("RGB", (28, 28)).save(tmp_path / "1.png")
        with pytest.raises(BadSample, match="field 'audios': no sound is read, and the text has its mark <audio>"):
            parse_own(Entry(tmp_path / "data.json", 1, {**data, **beside}, tmp_path))
    assert parsed(tmp_path, answer="red", question="What is <audio> in HTML?").question


def test_pictures_called_a_clip_are_refused(tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        Image.new("RGB", (28, 28)).save(tmp_path / name)
    given = {"answer": "red", "images": ["1.png", "2.png"]}
    assert len(parsed(tmp_path, **given).media) == 2 and parsed(tmp_path, **given, data_type="image").media
    with pytest.raises(BadSample, match="field 'data_type': it says video, and the media are pictures"):
        parsed(tmp_path, **given, data_type="video")


def test_a_place_says_what_the_other_entries_are() -> None:
    data = {"question": "How many?", "images": [], "options": ["3", "4", "5"], "answer": "0"}
    with pytest.raises(BadSample, match=r"other golds of this file are places too, .* as 3 is here, is read as"):
        parse_own(Entry(Path("data.jsonl"), 1, data, Path()))
    with pytest.raises(BadSample, match=r"a place counted from 0 or from 1.; write an option or its letter"):
        parse_own(Entry(Path("data.jsonl"), 1, {**data, "options": ["red", "blue"]}, Path()))
