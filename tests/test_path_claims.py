"""Claims (g) and (h) on made-up runs: each bound of their rule, the gate before them, and the page."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import CONF

from ral.evaluation.steps import StepFigures
from ral.study import path_gate
from ral.study.claims import CONTRADICTED, INCONCLUSIVE, NOT_APPLICABLE, SUPPORTED
from ral.study.page import Page, write
from ral.study.path_claims import PATH, STEPS, STUDENT, WAYS, correlations, judge_path
from ral.study.path_figures import CUTS, path_figures
from ral.study.path_gate import Cuts, Gate, Rule, cuts_of, measure, read_gate, rules
from ral.study.plan import read_tables
from ral.study.reproduce import MAIN_PAGE, PATH_PAGE, pages, path_data
from ral.study.results import RowResult, Run, TableResult
from ral.study.statistics import interval

TABLE = read_tables(yaml.safe_load((CONF / "reproduce.yaml").read_text()))[PATH]
PASSED = [Rule("the teacher's next step is right", 0.99, 0.95, 1.0)]
BROKEN = [Rule("the teacher's next step is right", 0.94, 0.95, 1.0)]
SEEDS = 12
NOTHING = {"grpo": 0.80, "oracle": 0.90, "oracle placebo": 0.79, "ral, previous": 0.80, "ral placebo": 0.80}
NOTHING |= {"look": 0.80, "look placebo": 0.80, "teacher's tokens": 0.95}


def runs(accuracy: float, grounding: float) -> dict[int, Run]:
    """Runs around a mean, seed by seed by their own small share."""
    found = {}
    for seed in range(SEEDS):
        last = {"eval/accuracy": accuracy + 0.001 * (seed % 5) * accuracy, STEPS: grounding + 0.001 * seed}
        found[seed] = Run(seed, Path("none"), {12: last}, 0.1, 60.0, "c" * 40, "python train.py")
    return found


def result(means: Mapping[str, float], grounding: Mapping[str, float] | None = None) -> TableResult:
    """The table with runs of the named rows."""
    rows = []
    for row in TABLE.rows:
        own = runs(means[row.label], (grounding or {}).get(row.label, 0.5)) if row.label in means else {}
        mean = interval([run.last["eval/accuracy"] for run in own.values()]) if own else None
        rows.append(RowResult(row, own, SEEDS, mean))
    return TableResult(TABLE, tuple(rows))


def test_the_rows_of_the_claims_are_rows_of_the_table_with_twenty_seeds() -> None:
    deciding = {"grpo", "oracle", "oracle placebo", *WAYS, *WAYS.values()}
    assert {row.label for row in TABLE.rows} >= {*deciding, STUDENT}
    assert {row.own_seeds for row in TABLE.rows if row.label in deciding} == {20} and TABLE.seeds == 10
    assert all(row.own_data for row in TABLE.rows)  # not compared with the shipped model of other data


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, CONTRADICTED),  # the oracle gains ten points, nothing else any
        ({"look": 0.87}, SUPPORTED),
        ({"ral, previous": 0.87}, SUPPORTED),
        ({"look": 0.852}, SUPPORTED),  # half of the oracle's gain
        ({"look": 0.845}, CONTRADICTED),  # less than half, with the whole interval
        ({"look": 0.82}, CONTRADICTED),  # above GRPO, and collects a fifth
        ({"look": 0.87, "look placebo": 0.88}, INCONCLUSIVE),  # no better than its placebo
        ({"oracle": 0.80}, INCONCLUSIVE),  # the oracle shows no room
        ({"oracle placebo": 0.90}, INCONCLUSIVE),  # and neither where its placebo gains as much
    ],
)
def test_each_part_of_the_rule_decides(changed: Mapping[str, float], said: str) -> None:
    assert judge_path(result(NOTHING | changed), PASSED)[0].verdict == said


@pytest.mark.parametrize("gate", [None, BROKEN])
def test_without_the_gate_no_claim_applies(gate: list[Rule] | None) -> None:
    found = judge_path(result(NOTHING | {"look": 0.87}), gate)
    assert [claim.verdict for claim in found] == [NOT_APPLICABLE] * 2
    assert ("is broken: the teacher's next step is right (94.0%)" if gate else "not measured") in found[0].note


def test_too_few_runs_decide_nothing() -> None:
    found = judge_path(result({"grpo": 0.8}), PASSED)
    assert [claim.verdict for claim in found] == [INCONCLUSIVE, NOT_APPLICABLE]


def test_grounding_has_to_move_with_accuracy_where_a_term_wins() -> None:
    means = NOTHING | {"look": 0.87}
    along = {label: value - 0.2 for label, value in means.items()}
    against = {label: 1 - value for label, value in means.items()}
    for grounding, said in ((along, SUPPORTED), (against, CONTRADICTED), (None, INCONCLUSIVE)):
        assert judge_path(result(means, grounding), PASSED)[1].verdict == said
    assert judge_path(result(NOTHING, along), PASSED)[1].verdict == NOT_APPLICABLE


def test_rank_correlations_are_of_trained_rows_and_need_four_of_them() -> None:
    means = {"grpo": 0.5, "look": 0.6, "oracle": 0.7, STUDENT: 0.9}
    order = {"grpo": 0.1, "look": 0.3, "oracle": 0.2, STUDENT: 0.0, "teacher's tokens": 0.4}
    assert correlations(result(means, order)) == {}
    found = correlations(result(means | {"teacher's tokens": 0.8}, order))
    assert found == {seed: pytest.approx(0.8) for seed in range(SEEDS)}  # ranks 1 3 2 4: 1 - 6 * 2 / (4 * 15)


def test_the_page_has_verdicts_rule_and_gate_with_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "config.yaml").write_text(
        "dataset: {source: {_target_: ral.worlds.visual_path.source, seed: 21}}"
    )
    found = result(NOTHING)
    text = write(Page([found], judge_path(found, PASSED), {}, None, {}))
    own = text.partition("### Where every step must look")[2]
    assert "| (g) Some attention term" in own and f"**{CONTRADICTED}**" in own and "The gate is passed: " in own
    assert "collects at least half of what the" in own and "Indicative" not in own and "### Claims" not in text
    assert "Indicative" in write(Page([found], [], {}, None, {}))


def test_the_lower_placebo_counts() -> None:
    found = {"none": 99.0, "evidence_from_response": 20.0, "evidence_from_question": 98.0}
    found |= {"placebo_from_response": 97.0, "placebo_from_question": 95.0}
    assert cuts_of(found) == Cuts(0.99, 0.20, 0.98, 0.95)


def test_the_gate_is_measured_once_on_the_runs_own_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    teacher, student = StepFigures(9, 1.0, None, 0.0), StepFigures(9, 0.5, 0.9, 0.1)

    def knockout(command: list[str], **_: Any) -> None:
        asked.append(command)
        folder = tmp_path / "knockout"
        folder.mkdir()
        keys = ("none", "evidence_from_response", "evidence_from_question", "placebo_from_response")
        values = dict(zip(keys, (99.0, 20.0, 98.0, 97.0), strict=True)) | {"placebo_from_question": 96.0}
        (folder / "results.json").write_text(json.dumps(values))

    monkeypatch.setattr(subprocess, "run", knockout)
    monkeypatch.setattr(path_gate, "read_file", lambda path: [str(path)])
    monkeypatch.setattr(path_gate, "load_model", lambda name, device: name)
    monkeypatch.setattr(path_gate, "step_figures", lambda model, _, batch: teacher if "teacher" in model else student)
    gate = Gate(path_gate.TEACHER_FOLDER, path_gate.STUDENT_FOLDER, {"": path_data(CONF / "experiment")})
    assert read_gate(tmp_path) is None
    for _ in range(2):
        measure(gate, tmp_path)
    ((_, _, checkpoint, *given),) = asked
    assert checkpoint == "checkpoint=assets/path_teacher"
    assert {
        "batch=64",
        'dataset.source.kinds=["arrows"]',
        "dataset.source.seed=21",
        "dataset.source.sizes.validation=256",
    } <= set(given)
    assert read_gate(tmp_path) == rules(teacher, student, Cuts(0.99, 0.20, 0.98, 0.96))


# --------------------------------------------------------------------------------------------- figures and pages


def test_the_figures_show_each_run_and_each_cut(tmp_path: Path) -> None:
    """A dot a run beside its step's attention on the right place; a bar a cut, in the order of CUTS."""
    found = result({"grpo": 0.5, "oracle": 0.7}, {"grpo": 0.3, "oracle": 0.4})
    share = dict.fromkeys(CUTS, 50.0) | {"evidence_from_response": 14.0}
    facts = share | {"n": 256, "intervals": {name: [value - 5, value + 5] for name, value in share.items()}}
    (tmp_path / "results.json").write_text(json.dumps(facts))
    figures = path_figures(found, tmp_path / "results.json")
    assert set(figures) == {"path_finals", "path_looks", "path_cuts"}
    lines = {line.get_label(): line.get_xydata() for line in figures["path_looks"].axes[0].lines}
    assert set(lines) == {"grpo", "oracle"} and {len(dots) for dots in lines.values()} == {SEEDS}
    assert lines["oracle"][:, 0] == pytest.approx([40 + 0.1 * seed for seed in range(SEEDS)])
    bars = figures["path_cuts"].axes[0].patches
    assert [round(bar.get_width()) for bar in bars] == [50, 14, 50, 50, 50]
    assert set(path_figures(found, tmp_path / "none.json")) == {"path_finals", "path_looks"}


def test_the_table_has_a_page_of_its_own_in_docs() -> None:
    """Only pages with runs are written, each with its own claims."""
    found = result({"grpo": 0.5, "oracle": 0.7})
    claims = judge_path(found, None)
    empty = TableResult(TABLE, ())
    page = Page([found], claims, {}, None, {}, choice="how the difficulty was chosen")
    split = pages(page)
    assert list(split) == [PATH_PAGE] and split[PATH_PAGE].claims == claims and not split[PATH_PAGE].choice
    assert not pages(Page([empty], [], {}, None, {})) and MAIN_PAGE != PATH_PAGE
