"""Truth values and null as options and as gold answers: matched by value in JSON and in tables, or refused in words."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from ral.data.bad import BadSample
from ral.data.sources import jsonl
from ral.data.truths import PAIRS, by_truth
from ral.types import Example

OPTIONS: list[Any] = [
    *(["True", "False"], ["Yes", "No"], ["no", "YES", "maybe"], ["On", "Off"], ["错", "对"], ["T", "F", "Not given"]),
    *([False, True], [True, "maybe", False], ["A. True", "B. False"], ["(A) no", "(B) yes"], {"A": "Yes", "B": "No"}),
    *({"A": True, "B": False}, {"label": ["A", "B"], "text": [False, True]}, "[false, true]", "[True, 'so so', False]"),
    *("['No', 'Yes']", ["True.", "False."], ["correct", "incorrect", "None"], ["left", "right", "wrong"]),
]
TRUE = {"true", "yes", "on", "对", "t", "correct", "right"}


def entry(tmp_path: Path, **fields: Any) -> Example:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([json.dumps({"question": "Is it?", "images": [], **fields})] * 2))
    return jsonl("train", path=path, validation_size=1)[0]


def cell(value: Any) -> str:
    return json.dumps(value) if isinstance(value, list | dict) else str(value)


def row(tmp_path: Path, **fields: Any) -> Example:
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "images", *fields])
        writer.writerows([["Is it?", "[]", *map(cell, fields.values())]] * 2)
    return jsonl("train", path=path, validation_size=1)[0]


def right(example: Example) -> str:
    """The text of the right option."""
    found = dict((o[0] if o[0] != "(" else o[1], o.lstrip("(")[2:].strip(") .")) for o in example.options)
    return found[example.answer].casefold()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("gold", [True, False, "TRUE", "false", ["false"], "<answer>True</answer>"], ids=str)
def test_gold_is_matched_by_value(tmp_path: Path, options: Any, gold: Any) -> None:
    said = "true" in str(gold).lower()
    readers = (entry,) if isinstance(gold, list) else (entry, row)
    for read in readers:
        assert (right(read(tmp_path, options=options, answer=gold)) in TRUE) is said


def test_fields_under_letters(tmp_path: Path) -> None:
    for options in ({"A": "No", "B": "Yes"}, {"A": False, "B": True}):
        assert entry(tmp_path, **options, answer=True).answer == "B" == row(tmp_path, **options, answer=True).answer
    assert entry(tmp_path, A="Yes", B="No", C="Unknown", answer="false").answer == "B"


def test_words_that_are_options_count_as_themselves(tmp_path: Path) -> None:
    assert entry(tmp_path, options=["Yes", "True", "No", "False"], answer=True).answer == "B"
    assert entry(tmp_path, options=["None", "Yes", "No"], answer="None").answer == "A"
    assert row(tmp_path, options=["Yes", "No", "None"], answer="None").answer == "C"
    assert entry(tmp_path, options=["T", "F"], answer="F").answer == "B"


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"options": ["left", "right"], "answer": True}, "'answer': 'true' is none of the options"),
        ({"options": ["red", "blue"], "answer": False}, "'false' is none of the options"),
        ({"options": ["Yes", "maybe"], "answer": True}, "'true' is none of the options"),
        ({"options": ["Yes", "No", "On", "Off"], "answer": True}, "'true' may be any of the options A, C"),
        ({"options": [True, "true", False], "answer": True}, "occurs twice|may be any"),
        ({"options": ["True", "False"], "answer": 1}, "'1' is none of the options: a place"),
        ({"options": ["Yes", "No", "None"], "answer": None}, "missing or null, and 'C?.?.?None' is an option; write"),
        ({"options": ["Yes", "No", "None"]}, "'answer': missing or null, and 'None' is an option"),
        ({"options": ["A. null", "B. 0"], "answer": None}, "missing or null, and 'A. null' is an option"),
        ({"options": ["Yes", None, "No"], "answer": "Yes"}, "null is no option; write the option as text"),
        ({"options": ["Yes", "No"], "answer": None}, "'answer': missing or empty"),
        ({"options": ["a", ["b"]], "answer": True}, "is not a list of strings; write"),
        ({"answer": True}, 'true is not text but a truth value; write it as text, in quotes: "true"'),
    ],
    ids=str,
)
def test_what_names_no_option_is_refused(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(BadSample, match=rf"^\S+a.jsonl: entry 1: field .*{said}"):
        entry(tmp_path, **fields)


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_pairs_by_hand(pair: tuple[str, str]) -> None:
    texts = {"A": pair[1], "B": "something else", "C": pair[0].upper()}
    for other in (("true", "false"), ("yes", "no"), pair):
        assert (by_truth(texts, other[0]), by_truth(texts, f"{other[1]}.")) == (["C"], ["A"])
    assert by_truth({"A": pair[0], "B": "else"}, "true") == by_truth(texts, "maybe") == []


@pytest.mark.parametrize("answer", ["None", None, "C"])
def test_a_null_behind_the_options_is_never_the_gold_answer(tmp_path: Path, answer: Any) -> None:
    with pytest.raises(BadSample):
        entry(tmp_path, options=["Yes", "No", None], answer=answer)
