"""The video benchmarks' prompts and scores against those of lmms-eval: see test_benchmarks_lmms.py."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import test_benchmarks_lmms
import test_benchmarks_video as video
import yaml
from test_benchmarks_image import CHOICE, OPTIONS
from test_benchmarks_lmms import LMMS
from test_benchmarks_video import CAPTIONS, MATCHING, OPEN, SENTENCES, YES_NO, asked, load

from ral.evaluation.benchmarks import choice, tempcompass, videommmu

lmms, published = test_benchmarks_lmms.lmms, video.published
# Responses that ours judges otherwise, on purpose: their fallback takes a letter of some word, or a letter that is
# ruled out, and knows no option's text.
PROSE = {"cotton", "The glove is made of cotton.", "The glove is made of leather.", "Cotton or leather? D", "A or B"}
PROSE |= {"The answer is C, not B.", "Not (A): it bends. So (D).", "D\nOf the others, (B) bends.", "Clearly D", ""}
PROSE |= {"Based on the picture, it is (C).", "I cannot tell.", "Cotton and leather", "b", "E"}


@pytest.fixture
def utils(lmms: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Any]:
    """lmms_eval's utils of a video benchmark."""
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    for needless in ("cv2", "decord", "lmms_eval.utils"):
        monkeypatch.setitem(sys.modules, needless, MagicMock())

    def of(name: str) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(f"lmms_eval.tasks.{name}.utils")

    return of


def declared(file: str) -> Mapping[str, Any]:
    """lmms-eval's words around a question."""
    lines = Path(LMMS, "lmms_eval/tasks", file).read_text().splitlines()
    text = "\n".join(line for line in lines if "!function" not in line)
    return yaml.safe_load(text)["lmms_eval_specific_kwargs"]["default"]


def test_open_answers(utils: Callable[[str], Any]) -> None:
    theirs = utils("videommmu")
    for response, gold, score in OPEN:
        text = choice.final(response)
        if text:  # theirs calls an empty response an error of the API
            assert theirs.eval_open(gold, theirs.parse_open_response(text)) == bool(score), (response, gold)
            assert videommmu.judge(asked("?", gold), response).score == score


def test_rules_of_tempcompass(utils: Callable[[str], Any]) -> None:
    theirs = utils("tempcompass")
    for response, gold, score in YES_NO:
        assert (theirs.extract_pred(choice.final(response)) == gold) == bool(score)
    stricter = {"the ball rolls right", "The ball rolls left", "sentence a", "Caption A", "(B) The ball rolls right."}
    for response, gold, score in MATCHING:
        found = theirs.eval_rule(choice.final(response), CAPTIONS, SENTENCES[gold])
        assert (found == 1) == bool(score) or response in stricter, response
    assert {
        k: v for k, v in declared("tempcompass/_default_template_yaml")["post_prompt"].items() if v
    } == tempcompass.INSTRUCTIONS


@pytest.mark.parametrize("name", ["videomme", "lvbench"])
def test_letters(name: str, utils: Callable[[str], Any]) -> None:
    theirs, agreed = utils(name), 0
    for response, gold, score in CHOICE:
        found = theirs.extract_characters_regex(choice.final(response))
        same = (found == choice.letter(gold, OPTIONS) and found != "") == bool(score)
        assert same or response in PROSE, (response, gold, found)
        agreed += same
    assert agreed >= 25


def test_prompts(utils: Callable[[str], Any], published: Path) -> None:
    """The fixtures' rows, worded by lmms-eval."""
    rows = {
        "longvideobench": (
            {"question": "When?", "option0": "now", "option1": "then"}
            | dict.fromkeys(("option2", "option3", "option4"), "N/A")
        ),
        "videomme": {"question": "What?", "options": ["A. x.", "B. y.", "C. z.", "D. w."]},
        "lvbench": {"question": "Who?\n(A) he\n(B) she"},
    }
    files = {"longvideobench": "longvideobench_val_v.yaml", "videomme": "videomme.yaml", "lvbench": "lvbench.yaml"}
    for name, row in rows.items():
        theirs = getattr(utils(name), f"{name}_doc_to_text")(row, declared(f"{name}/{files[name]}"))
        assert load(name, published / name)[0].example.question == theirs, name
    words = declared("videommmu/_default_template_yaml")
    row = {"question": "Which?", "options": ["x", "y"], "question_type": "multiple-choice"}
    items = {item.example.uid: item.example.question for item in load("videommmu", published / "videommmu")}
    theirs = utils("videommmu")
    assert items["Adaptation/new_Math_1"] == theirs.videommmu_doc_to_text_adaptation(row, words)
    assert items["Comprehension/new_Math_1"] == theirs.videommmu_doc_to_text_perception_comprehension(row, words)
    opened = theirs.videommmu_doc_to_text_adaptation(row | {"question_type": "open"}, words)
    assert items["Adaptation/dev_Art_Theory_2"] == opened
