"""Problem types that an entry's subject implies, and options in fields that nothing reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ral.data.bad import BadSample
from ral.data.fields import Entry
from ral.data.parse import parse_own
from ral.rewards.accuracy import accuracy, check_gold
from ral.types import Example, UserError


def read(folder: Path, fields: dict[str, Any]) -> Example:
    """One entry as it is parsed."""
    return parse_own(Entry(folder / "data.jsonl", 1, {"question": "How much?", "images": [], **fields}, folder))


def verl(gold: str, **labels: str) -> dict[str, Any]:
    return {"reward_model": {"style": "rule", "ground_truth": gold}, **labels}


@pytest.mark.parametrize(
    ("labels", "gold", "kind"),
    [
        *[
            ({"ability": ability}, r"\frac{3}{4}", "numerical")
            for ability in ("math", "Math", "mathematics", "geometry")
        ],
        *[({"data_source": s}, "12", "numerical") for s in ("x/geometry3k", "openai/gsm8k", "MathVista", "geo3k")],
        *[({"ability": "math"}, gold, "numerical") for gold in (r"2\sqrt{3}", "5 cm", "√2", r"\pi", "0.5")],
        *[({"ability": "math"}, gold, "free-form") for gold in ("isosceles", "B", "yes")],
        *[(labels, r"3/4", "free-form") for labels in ({}, {"ability": "chart"}, {"data_source": "geo"})],
        ({"data_source": "aftermath/clips"}, "3/4", "free-form"),
        ({"ability": "math", "problem_type": "free-form"}, "3/4", "free-form"),
        ({"ability": "math", "problem_type": "OCR"}, "3/4", "OCR"),
    ],
)
def test_terms_of_mathematics_are_numerical(tmp_path: Path, labels: dict[str, str], gold: str, kind: str) -> None:
    assert read(tmp_path, verl(gold, **labels)).problem_type == kind


def test_options_beside_such_a_subject_stay_multiple_choice(tmp_path: Path) -> None:
    assert read(tmp_path, verl("3", ability="math") | {"options": ["3", "4"]}).problem_type == "multiple choice"


@pytest.mark.parametrize(("answer", "earned"), [("3/4", 1), ("0.75", 1), (r"\frac{3}{4}", 1), (r"\frac{3}{5}", 0)])
def test_such_a_term_is_met_by_its_value(tmp_path: Path, answer: str, earned: float) -> None:
    example = read(tmp_path, verl(r"\frac{3}{4}", ability="math"))
    assert accuracy(example, f"<answer>{answer}</answer>") == earned


def test_a_term_that_is_no_number_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no single number.*free-form"):
        check_gold(read(tmp_path, verl("x^2 + 1", ability="math")))


UNREAD = [
    {"option_a": "red", "option_b": "blue"},
    {"candidates": ["red", "blue"]},
    {"choice1": "red", "choice2": "blue"},
    {"answer_options": {"A": "red", "B": "blue"}},
    {"option_a": 1, "option_b": 2},
]


@pytest.mark.parametrize("fields", UNREAD)
def test_options_that_nothing_reads_make_a_bad_entry(tmp_path: Path, fields: dict[str, Any]) -> None:
    with pytest.raises(BadSample, match="holds what to choose from, and nothing reads it; write"):
        read(tmp_path, {"answer": "red", **fields})
    assert read(tmp_path, {"answer": "red", "problem_type": "free-form", **fields}).problem_type == "free-form"


@pytest.mark.parametrize(
    "fields",
    [{"choice": "red"}, {"candidates": []}, {"option_a": None, "option_b": ""}, {"alternatives": ["a", "b"]}],
)
def test_one_such_field_holds_nothing_to_choose_from(tmp_path: Path, fields: dict[str, Any]) -> None:
    assert read(tmp_path, {"answer": "red", **fields}).problem_type == "free-form"


WORKED = "3 + 4 = <<3+4=7>>7 balls."


@pytest.mark.parametrize("field", ["answer", "solution"])
@pytest.mark.parametrize(
    ("text", "gold", "kind"),
    [
        (f"{WORKED}\n#### 7", "7", "numerical"),
        (f"{WORKED}\n#### 1,200 \n", "1,200", "numerical"),
        (f"<think>one\n#### 8</think>{WORKED}\r\n  ####7", "7", "numerical"),
        ("#### 7", "7", "numerical"),
        ("#### 3\nNo.\n#### 7", "7", "numerical"),
        ("It is.\n#### blue", "blue", "free-form"),
    ],
)
def test_the_gold_answer_stands_behind_the_mark_of_a_worked_solution(
    tmp_path: Path, field: str, text: str, gold: str, kind: str
) -> None:
    example = read(tmp_path, {field: text})
    assert (example.answer, example.problem_type) == (gold, kind)
    assert accuracy(example, f"<answer>{gold}</answer>") == 1


@pytest.mark.parametrize("text", ["7 ####", "a #### 7", "#### 7\nballs", "##### 7", "a\n####"])
def test_a_mark_elsewhere_is_text(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, {"answer": text}).answer == text


def test_a_type_that_is_said_counts_more_than_the_mark(tmp_path: Path) -> None:
    entry = {"answer": f"{WORKED}\n#### 7", "problem_type": "free-form"}
    assert read(tmp_path, entry).problem_type == "free-form"
    chosen = read(tmp_path, {"answer": f"{WORKED}\n#### B", "options": ["6", "7"]})
    assert (chosen.answer, chosen.problem_type) == ("B", "multiple choice")
