"""Placeholders of templates and grounding data: no gold answer and no question of an entry holds one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ral.data.bad import BadSample
from ral.data.sources import jsonl, video_r1
from ral.types import Example

GOOD = {"question": "Where is the car?", "answer": "red", "image": "a.png"}
OBJECTS = {"ref": ["car"], "bbox": [[1, 2, 30, 40]]}


def read(folder: Path, entry: dict[str, Any]) -> Example:
    Image.new("RGB", (56, 56), "red").save(folder / "a.png")
    (folder / "data.json").write_text(json.dumps([entry, GOOD, GOOD]), encoding="utf-8")
    example: Example = jsonl("train", path=folder / "data.json", validation_size=1)[0]
    return example


def refused(folder: Path, entry: dict[str, Any]) -> str:
    with pytest.raises(BadSample) as caught:
        read(folder, entry)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def talk(asked: str, said: str, **fields: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": f"<image>{asked}"}, {"role": "assistant", "content": said}]
    return {"messages": turns, "images": ["a.png"], **fields}


def test_the_answer_of_a_grounding_entry_names_its_placeholder(folder: Path) -> None:
    said = refused(folder, talk("Where is the dog?", "<bbox>", objects=OBJECTS))
    assert "field 'messages': '<bbox>' holds the placeholder <bbox>, and nothing fills it in: 'objects' is not" in said
    assert 'write in its place what it stands for, such as "[10, 20, 110, 220]"' in said


@pytest.mark.parametrize(
    ("asked", "named"), [("Find <ref-object> here.", "<ref-object>"), ("What lies in <bbox>?", "<bbox>")]
)
def test_the_question_of_a_grounding_entry_names_its_placeholder(folder: Path, asked: str, named: str) -> None:
    assert f"holds the placeholder {named}, and" in refused(folder, talk(asked, "a van", objects=OBJECTS))


def test_an_earlier_turn_and_the_object_beside_a_column_are_seen(folder: Path) -> None:
    earlier = [{"role": "user", "content": "<image>See <bbox>?"}, {"role": "assistant", "content": "yes"}]
    later = [{"role": "user", "content": "What is it?"}, {"role": "assistant", "content": "a van"}]
    entry = {"messages": earlier + later, "images": ["a.png"], "objects": OBJECTS}
    assert "holds the placeholder <bbox>" in refused(folder, entry)
    assert "<ref-object>" in refused(folder, GOOD | {"question": "Where is <ref-object>?"})


@pytest.mark.parametrize(
    "gold",
    [
        "<box>",
        "<bbox><bbox>",
        "<obj0>",
        "at <obj_1>",
        "<ref>",
        "<seg>",
        "It is [SEG].",
        "<point>",
        "<box></box>",
        "<ref>van</ref><box>",
        "<points>",
        "<mask>",
        "<region1>",
        "<quad>",
        "<BBOX>",
    ],
)
def test_an_unfilled_tag_is_no_gold_answer(folder: Path, gold: str) -> None:
    assert "holds the placeholder" in refused(folder, GOOD | {"answer": gold})


@pytest.mark.parametrize(
    "gold",
    ["{answer}", "{{ answer }}", "${solution}", "[ANSWER]", "[your answer here]", "<your answer>", "\\boxed{answer}"],
)
def test_a_template_is_no_gold_answer(folder: Path, gold: str) -> None:
    assert "is a placeholder, and nothing fills it in; write the answer" in refused(folder, GOOD | {"answer": gold})


def test_an_empty_answer_block_is_no_gold_answer(folder: Path) -> None:
    assert "missing or empty" in refused(folder, GOOD | {"answer": "<answer> </answer>"})


def test_a_preferred_response_and_a_video_r1_answer_hold_no_placeholder(folder: Path) -> None:
    pair = {"chosen": "<answer><bbox></answer>", "rejected": "<answer>no</answer>"}
    assert "field 'chosen'" in refused(folder, GOOD | pair)
    entry = {"problem_id": 1, "problem": "Where?", "data_type": "image", "problem_type": "free-form", "options": []}
    entry |= {"solution": "<answer><box></answer>", "path": "a.png"}
    (folder / "v.json").write_text(json.dumps([entry, entry]), encoding="utf-8")
    with pytest.raises(BadSample, match="field 'solution': '<box>' holds the placeholder <box>"):
        video_r1("train", path=folder / "v.json", validation_size=1)[0]


@pytest.mark.parametrize(
    "gold",
    [
        "<box>(1,2),(30,40)</box>",
        "<ref>van</ref><box>(1,2),(3,4)</box>",
        "<points>1 2</points>",
        "[1, 2, 30, 40]",
        "{x}",
        "[answer: 3]",
        "<b>",
        "<loc0012>",
        "the answer",
    ],
)
def test_what_is_filled_in_is_a_gold_answer(folder: Path, gold: str) -> None:
    assert read(folder, GOOD | {"answer": gold}).answer == gold


def test_text_read_off_an_image_may_look_like_a_tag(folder: Path) -> None:
    assert read(folder, GOOD | {"answer": "<box>", "problem_type": "OCR"}).answer == "<box>"
    assert "<box>" in refused(folder, GOOD | {"answer": "<box>", "problem_type": "OCR", "objects": OBJECTS})


def test_an_instruction_may_name_a_tag(folder: Path) -> None:
    assert read(folder, GOOD | {"question": "Where? Answer in <bbox> tags."}).answer == "red"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (56, 56), "red").save(tmp_path / "a.png")
    return tmp_path
