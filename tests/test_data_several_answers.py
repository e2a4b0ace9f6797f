"""Entries whose `answers` are options (SAT) or several people's (VQAv2, TextVQA): the advice, and what it leads to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ral.data.bad import BadSample
from ral.data.sources import jsonl
from ral.types import Example

ASKED = {"question": "Which is nearer?", "image": "a.png"}
SAT = ASKED | {"answers": ["the van", "the oak"], "question_type": "action", "correct_answer": "the oak"}
SAID = ["green", "green", "lime"]
VQA = ASKED | {"answers": [{"answer": said} for said in SAID], "multiple_choice_answer": "green"}


def read(folder: Path, entry: dict[str, Any]) -> Example:
    Image.new("RGB", (56, 56), "red").save(folder / "a.png")
    (folder / "data.json").write_text(json.dumps([entry, entry]), encoding="utf-8")
    example: Example = jsonl("train", path=folder / "data.json", validation_size=1)[0]
    return example


def refused(folder: Path, entry: dict[str, Any]) -> str:
    with pytest.raises(BadSample) as caught:
        read(folder, entry)
    return str(caught.value)


def renamed(entry: dict[str, Any], **names: str) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in entry.items()}


def test_the_right_one_of_the_options_is_named_and_reads(tmp_path: Path) -> None:
    advice = 'write "answer" in place of "correct_answer", and "options" in place of "answers"'
    for entry in (SAT, {"label": 1} | SAT):
        assert refused(tmp_path, entry).endswith(advice)
    example = read(tmp_path, renamed(SAT, correct_answer="answer", answers="options"))
    assert (example.answer, example.options) == ("B", ("A. the van", "B. the oak"))


def test_the_answer_of_most_people_is_named_and_reads(tmp_path: Path) -> None:
    advice = 'write "answer" in place of "multiple_choice_answer"'
    assert refused(tmp_path, VQA).endswith(advice)
    assert refused(tmp_path, VQA | {"answers": SAID}).endswith(advice)
    assert refused(tmp_path, renamed(VQA, answers="answer")).endswith(advice)
    assert read(tmp_path, renamed(VQA, multiple_choice_answer="answer")).answer == "green"


def test_without_such_a_field_one_answer_is_asked_for(tmp_path: Path) -> None:
    said = refused(tmp_path, ASKED | {"answers": SAID})
    assert said.endswith(
        'write "answer" with the one right answer, in place of the 3 of "answers": "green" is said most'
    )
    said = refused(tmp_path, ASKED | {"answer": SAID})
    assert said.endswith('write the one right answer, such as "green", which is said most')
    assert refused(tmp_path, ASKED | {"answer": ["red", "lime"]}).endswith('the one right answer, such as "red"')
    assert refused(tmp_path, ASKED | {"answers": ["red", "lime"]}).endswith('in place of the 2 of "answers"')
    assert refused(tmp_path, ASKED | {"answers": "green"}).endswith('write "answer" in place of "answers"')


def test_an_answer_inside_an_object_is_shown(tmp_path: Path) -> None:
    for answers in ([{"answer": "green", "answer_id": 1}], {"answer": "green"}, {"text": ["green"], "start": [3]}):
        advice = 'write "answer": "green" in place of "answers"'
        assert refused(tmp_path, ASKED | {"answers": answers}).endswith(advice)
    for answer in ([{"answer": "green"}], {"text": "green"}, {"value": "green", "aliases": ["lime"]}):
        assert refused(tmp_path, ASKED | {"answer": answer}).endswith('write its text alone: "answer": "green"')
    assert read(tmp_path, ASKED | {"answer": ["green"]}).answer == "green"


@pytest.mark.parametrize(
    "text", ["['green', 'lime', 'green']", '["green"]', '{"answer": "green"}', '[ "green" ,"green"]']
)
def test_a_list_written_as_text_is_no_answer(tmp_path: Path, text: str) -> None:
    said = refused(tmp_path, ASKED | {"answer": text})
    assert "written as text" in said and said.endswith('"green"')


@pytest.mark.parametrize("text", ["[10, 20, 30, 40]", "['a'", "[x]", "{3}", "['a', 3]", '{"bbox": [1, 2]}', "f['x']"])
def test_other_brackets_stay(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, ASKED | {"answer": text}).answer == text


def test_a_question_for_a_list_may_have_one(tmp_path: Path) -> None:
    for more in ({"question": "Give the colors as a list."}, {"problem_type": "OCR"}):
        assert read(tmp_path, ASKED | {"answer": "['red', 'lime']"} | more).answer == "['red', 'lime']"
