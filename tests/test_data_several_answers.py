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
    assert said.endswith('write "answer" with the one right answer, in place of the 3 of "answers"')
    assert refused(tmp_path, ASKED | {"answer": SAID}).endswith('write the one right answer, such as "red"')
    assert refused(tmp_path, ASKED | {"answers": "green"}).endswith('write "answer" in place of "answers"')
