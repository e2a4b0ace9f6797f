"""scripts/path_gate.py: each rule at its bounds, and the whole on a folder."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import load_script

from ral.evaluation.steps import StepFigures
from ral.study.path_gate import Cuts, page, rules
from ral.worlds.visual_path import source

TEACHER, STUDENT = StepFigures(300, 0.97, 0.5, 0.01), StepFigures(300, 0.55, 0.9, 0.1)
CUTS = Cuts(whole=0.99, response=0.2, question=0.98, placebo=0.99)


def broken(teacher: StepFigures = TEACHER, student: StepFigures = STUDENT, cuts: Cuts = CUTS) -> list[int]:
    return [n for n, rule in enumerate(rules(teacher, student, cuts)) if not rule.kept]


def test_good_figures_break_no_rule() -> None:
    assert broken() == [] and len(rules(TEACHER, STUDENT, CUTS)) == 6 and len(rules(TEACHER, STUDENT, None)) == 3


@pytest.mark.parametrize(
    "rule, good, bad",
    [
        (0, {"teacher": replace(TEACHER, right=0.95)}, {"teacher": replace(TEACHER, right=0.949)}),
        (1, {"student": replace(STUDENT, right=0.40)}, {"student": replace(STUDENT, right=0.399)}),
        (1, {"student": replace(STUDENT, right=0.70)}, {"student": replace(STUDENT, right=0.701)}),
        (2, {"student": replace(STUDENT, wrong_looks=0.80)}, {"student": replace(STUDENT, wrong_looks=0.799)}),
        (2, {}, {"student": replace(STUDENT, wrong_looks=None)}),
        (3, {"cuts": replace(CUTS, response=0.69)}, {"cuts": replace(CUTS, response=0.7)}),
        (4, {"cuts": replace(CUTS, question=0.94)}, {"cuts": replace(CUTS, question=0.93)}),
        (5, {"cuts": replace(CUTS, placebo=0.94)}, {"cuts": replace(CUTS, placebo=0.93)}),
    ],
)
def test_each_rule_has_its_bound(rule: int, good: dict[str, StepFigures], bad: dict[str, StepFigures]) -> None:
    assert broken(**good) == [] and broken(**bad) == [rule]  # type: ignore[arg-type]


def test_page_names_what_is_broken() -> None:
    text = page(rules(TEACHER, replace(STUDENT, right=0.9), CUTS))
    assert text.count("BROKEN") == 1 and "BROKEN   90.0%  the student's next step is right (40 to 70%)" in text


def test_the_script_measures_both_and_fails_for_models_that_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source("validation", root=tmp_path, sizes={"validation": 4}, seed=0)
    module, data = load_script("path_gate"), str(tmp_path / "validation.json")
    arguments = [data, "assets/tiny_teacher", "assets/tiny", "--limit", "3", "--cuts", "99", "20", "99", "99"]
    monkeypatch.setattr(sys, "argv", ["path_gate.py", *arguments])
    assert module.main() == 1
    out = capsys.readouterr().out
    assert "teacher: StepFigures(steps=9, right=0.0" in out and "79.0%  lost without the evidence for response" in out
    monkeypatch.setattr(sys, "argv", ["path_gate.py", data, "assets/none", "assets/tiny"])
    assert module.main() == 1 and capsys.readouterr().err.startswith("error: ")
