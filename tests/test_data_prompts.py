"""Prompts and SFT targets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ral.data.prompts import BUILTIN, render, target
from ral.types import PROBLEM_TYPES, Example, UserError

CHOICE = Example("1", "What color is it?", "A", "multiple choice", options=("A. red", "B. blue"), thought="it is red")


def test_short_prompts_word_for_word() -> None:
    assert render(CHOICE, "short") == "What color is it? A. red B. blue Think, then answer."
    assert render(replace(CHOICE, options=()), "short_zero") == "What color is it? Answer."


@pytest.mark.parametrize("name", ["think", "zero"])
def test_long_prompts_have_video_r1s_shape(name: str) -> None:
    lines = render(CHOICE, name).splitlines()
    assert lines[:4] == ["What color is it?", "Options:", "A. red", "B. blue"]
    assert len(lines) == 6 and ("<think>" in lines[4]) == (name == "think")
    assert "<answer>" in lines[4] and "option" in lines[5] and "within the answer tags" in lines[5]


@pytest.mark.parametrize("name", ["think", "zero"])
def test_each_problem_type_has_its_ending_and_no_empty_options(name: str) -> None:
    texts = {kind: render(replace(CHOICE, problem_type=kind, options=()), name) for kind in PROBLEM_TYPES}
    assert not any("Options" in text or "\n\n" in text for text in texts.values())
    endings = {kind: text.splitlines()[-1] for kind, text in texts.items()}
    assert endings["numerical"] == endings["regression"] and len(set(endings.values())) == 4


def test_questions_are_not_escaped() -> None:
    question = "Is 1 < 2 & {{ x }}?"
    assert all(render(replace(CHOICE, question=question), name).startswith(question) for name in BUILTIN)


def test_own_template(tmp_path: Path) -> None:
    (tmp_path / "own.j2").write_text("{{ problem_type }}: {{ question }} {{ options | length }}")
    assert render(CHOICE, str(tmp_path / "own.j2")) == f"multiple choice: What color is it? {len(CHOICE.options)}"


@pytest.mark.parametrize(
    "text, words", [("{% if %}", "line 1 is not Jinja"), ("{{ qestion }}", r"holds no \{\{ question \}\} but qestion")]
)
def test_broken_template_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "own.j2").write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        render(CHOICE, str(tmp_path / "own.j2"))
    assert "own.j2" in str(caught.value) and "\n" not in str(caught.value)


def test_missing_template_names_the_shipped_ones() -> None:
    with pytest.raises(UserError, match="'thinks': no such file; write think, zero, short"):
        render(CHOICE, "thinks")


def test_targets() -> None:
    assert target(CHOICE, thinking=True) == "<think>it is red</think><answer>A</answer>"
    assert target(CHOICE, thinking=False) == "<answer>A</answer>"
    with pytest.raises(UserError, match=r"cot.json: entry 4: field 'process': missing"):
        target(replace(CHOICE, thought=None, source="cot.json: entry 4"), thinking=True)
