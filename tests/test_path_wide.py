"""Claims (p) and (q) on made-up runs: each bound of their rule, room by the oracle, the gate of a pair of their own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import test_path_claims as made
import yaml
from conftest import CONF
from hydra import compose, initialize_config_dir

from ral.evaluation.steps import StepFigures
from ral.study import path_gate, reproduce
from ral.study.claims import CONTRADICTED, INCONCLUSIVE, NOT_APPLICABLE, SUPPORTED
from ral.study.command import parse
from ral.study.figures import draw
from ral.study.page import OWN_CLAIMS, Page, write
from ral.study.path_claims import PATH
from ral.study.path_gate import GATE, Gate, measure, read_gate
from ral.study.path_wide import ENDS, EXPERIMENT, LENGTH, LETTERS, MEASURED, TOKENS, judge_wide, wide_gate
from ral.study.plan import Row, cells, read_tables
from ral.study.reproduce import GATE_FOLDER, PATH_PAGE, WIDE_FOLDER, gates, pages, path_data, plan_study
from ral.study.results import RowResult, Run, TableResult
from ral.study.statistics import interval

PLAN = yaml.safe_load((CONF / "reproduce.yaml").read_text())
TABLES = read_tables(PLAN)
SEEDS = range(40, 50)


def named(rules: list[path_gate.Rule], *data: str) -> list[path_gate.Rule]:
    """Rules as the gate of the wide models has them: once for each of the data."""
    return [replace(rule, text=f"{name}: {rule.text}") for name in data for rule in rules]


PASSED = named(made.PASSED, *MEASURED[TOKENS], *MEASURED[LENGTH])


def result(name: str, lead: Mapping[int, float], oracle: float = 0.1, seeds: range = SEEDS) -> TableResult:
    """A table with runs of all rows: GRPO at 0.5, RAL above it by `lead` (else 0), the oracle by its own number.

    What RAL and the oracle add moves with the seed by up to a hundredth, GRPO's accuracy by more.
    """
    rows = []
    for row in TABLES[name].rows:
        method, value = row.place
        above = {"grpo": 0.0, "ral": lead.get(value, 0.0), "oracle": oracle}[method]
        own = {}
        for seed in seeds:
            noise = 0.0 if method == "grpo" else 0.001 * (seed % 5 - 2) * (2 if value in ENDS[name][1:] else 1)
            accuracy = 0.5 + 0.02 * (seed % 3) + above + noise
            last = {"eval/accuracy": accuracy, "eval/accuracy_image": accuracy}
            own[seed] = Run(seed, Path("none"), {12: last}, 0.1, 60.0, "c" * 40, "python train.py")
        mean = interval([run.last["eval/accuracy"] for run in own.values()]) if own else None
        rows.append(RowResult(row, own, len(SEEDS), mean))
    return TableResult(TABLES[name], tuple(rows))


def both(tokens: Mapping[int, float], length: Mapping[int, float], **settings: Any) -> dict[str, TableResult]:
    return {TOKENS: result(TOKENS, tokens, **settings), LENGTH: result(LENGTH, length, **settings)}


@pytest.mark.parametrize(
    ("tokens", "length", "said"),
    [
        ({1024: 0.03}, {8: 0.03}, (SUPPORTED, SUPPORTED)),
        ({16: 0.03}, {2: 0.03}, (CONTRADICTED, CONTRADICTED)),  # the lead falls
        ({}, {}, (INCONCLUSIVE, INCONCLUSIVE)),
        ({16: 0.05, 256: 0.05, 1024: 0.05}, {2: 0.05, 5: 0.05, 8: 0.05}, (INCONCLUSIVE, INCONCLUSIVE)),  # does not grow
        ({256: 0.2}, {5: 0.2}, (INCONCLUSIVE, INCONCLUSIVE)),  # what lies between decides nothing
        ({16: -0.05, 1024: -0.02}, {8: 0.03}, (SUPPORTED, SUPPORTED)),  # from further below GRPO
    ],
)
def test_the_ends_decide(tokens: Mapping[int, float], length: Mapping[int, float], said: tuple[str, str]) -> None:
    found = judge_wide(both(tokens, length), PASSED)
    assert tuple(claim.letter for claim in found) == LETTERS and tuple(c.verdict for c in found) == said


def test_a_claim_is_the_difference_of_differences_and_holm_is_over_two() -> None:
    found = judge_wide(both({16: 0.01, 256: 0.5, 1024: 0.04}, {8: 0.03}), PASSED)
    lead = found[0].comparisons[0]
    assert lead.name == "(ral - grpo) at 1024 less that at 16 visual tokens" and lead.found is not None
    assert found[1].comparisons[0].name == "(ral - grpo) at 8 less that at 2 steps"
    assert lead.found.mean.mean == pytest.approx(0.03) and lead.found.p == pytest.approx(2 / 2**10)
    assert [claim.comparisons[0].found.corrected for claim in found] == [pytest.approx(4 / 2**10)] * 2  # type: ignore[union-attr]
    assert [c.decides for c in found[0].comparisons] == [True, False, False]


@pytest.mark.parametrize("seeds", [range(40, 41), range(0)])
def test_too_few_runs_decide_nothing(seeds: range) -> None:
    found = judge_wide(both({1024: 0.1}, {8: 0.1}, seeds=seeds), PASSED)
    assert [claim.verdict for claim in found] == [INCONCLUSIVE] * 2 and "too few runs" in found[0].note


def test_a_table_without_runs_counts_in_the_correction() -> None:
    tokens, length = judge_wide({TOKENS: result(TOKENS, {1024: 0.03})}, PASSED)
    assert tokens.comparisons[0].found is not None and length.comparisons[0].found is None
    assert tokens.comparisons[0].found.corrected == pytest.approx(4 / 2**10)
    assert (tokens.verdict, length.verdict) == (SUPPORTED, INCONCLUSIVE)


def test_the_note_says_where_there_was_no_room() -> None:
    def noted(at_16: float, at_1024: float) -> tuple[str, str]:
        rows = {row.row.label: row for row in result(TOKENS, {1024: 0.03}, at_16).rows}
        rows["oracle, 1024"] = next(r for r in result(TOKENS, {}, at_1024).rows if r.row.label == "oracle, 1024")
        claim = judge_wide({TOKENS: TableResult(TABLES[TOKENS], tuple(rows.values()))}, PASSED)[0]
        return claim.verdict, claim.note

    assert "There was room at both ends." in noted(0.1, 0.1)[1]
    assert "no room at one end: oracle, 16 - grpo, 16 is not above 0" in noted(0.0, 0.1)[1]
    assert "no room at one end: oracle, 1024 - grpo, 1024" in noted(0.1, -0.1)[1]
    verdict, note = noted(0.0, -0.1)
    assert "There was no room at either end: the oracle is not above GRPO." in note and verdict == SUPPORTED


@pytest.mark.parametrize("gate", [None, named(made.BROKEN, *MEASURED[TOKENS], *MEASURED[LENGTH])])
def test_without_the_gate_neither_applies(gate: list[path_gate.Rule] | None) -> None:
    found = judge_wide(both({1024: 0.03}, {8: 0.03}), gate)
    assert [claim.verdict for claim in found] == [NOT_APPLICABLE] * 2
    assert all(("is broken" if gate else "not measured") in claim.note for claim in found)


@pytest.mark.parametrize("end", [name for data in MEASURED.values() for name in data])
def test_a_rule_broken_at_an_end_voids_the_claim_of_its_axis_alone(end: str) -> None:
    gate = [rule for rule in PASSED if not rule.text.startswith(end)] + named(made.BROKEN, end)
    found = judge_wide(both({1024: 0.03}, {8: 0.03}), gate)
    broken = end in MEASURED[LENGTH]
    assert [claim.verdict for claim in found] == [(SUPPORTED, NOT_APPLICABLE)[n == broken] for n in (False, True)]
    assert f"The gate is broken: {end}: the teacher" in found[broken].note
    assert end not in found[not broken].note and "The gate is passed" in found[not broken].note


# ----------------------------------------------------------------------------------------------------- rows


def test_runs_are_160_on_seeds_and_data_that_no_other_table_has(tmp_path: Path) -> None:
    planned = cells([TABLES[TOKENS], TABLES[LENGTH]], None, tmp_path, [])
    assert len(planned) == len({cell.folder for cell in planned}) == 160
    assert {cell.seed for cell in planned} == set(SEEDS)
    others = [table for name, table in TABLES.items() if name not in ENDS]
    assert not {cell.seed for cell in cells(others, None, tmp_path, [])} & set(SEEDS)
    assert not {row.overrides for table in others for row in table.rows} & {cell.overrides for cell in planned}


@pytest.mark.parametrize("name", ENDS)
def test_rows_have_what_their_labels_say(name: str) -> None:
    """Data of their own for each value; the oracle at the ends; RAL as published; baselines on the same data."""
    rows: tuple[Row, ...] = TABLES[name].rows
    values = sorted({row.place[1] for row in rows})
    assert (values[0], values[-1]) == ENDS[name] and TABLES[name].axis == ("tokens" if name == TOKENS else "steps")
    methods = {value: [row.place[0] for row in rows if row.place[1] == value] for value in values}
    ends = ["grpo", "ral", "oracle"]
    assert list(methods.values()) == [ends, ends[:2], ends]
    paths: dict[str, int] = {}
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for row in rows:
            (method, value), cfg = row.place, compose("train", list(row.overrides))
            source = cfg.dataset.source
            tokens, steps = (value, 3) if name == TOKENS else (16, value)
            assert ((4 * source.zoom) ** 2, source.shortest, source.longest) == (tokens, steps, steps)
            assert row.baseline == (None if method == "grpo" else f"grpo, {value}") and row.own_data
            term = {"grpo": [], "ral": ["attention"], "oracle": ["named_place"]}[method]
            assert list(cfg.algo.objective) == ["token", "kl", *term]
            assert method != "ral" or (cfg.algo.attention.coef, cfg.algo.attention_policy.query) == (1, "self")
            assert paths.setdefault(cfg.dataset.path, value) == value
    assert len(paths) == 3 and path_data(CONF / "experiment", EXPERIMENT)["dataset.path"] not in paths


# ----------------------------------------------------------------------------------------------------- gate


def test_the_gate_is_of_both_ends_of_both_axes_on_boards_that_no_run_has() -> None:
    settings = path_data(CONF / "experiment", EXPERIMENT)
    gate = wide_gate(settings)
    assert (gate.teacher, gate.student) == ("assets/path_wide_teacher", "assets/path_wide_student")
    assert list(gate.data) == ["16 visual tokens", "1024 visual tokens", "2 steps", "8 steps"]
    assert len({own["dataset.path"] for own in gate.data.values()} | {settings["dataset.path"]}) == 5
    assert {own["dataset.source.seed"] for own in gate.data.values()} == {32} and settings["dataset.source.seed"] == 31
    assert all(own["dataset.source.sizes.validation"] == 128 for own in gate.data.values())
    keys = ("zoom", "shortest", "longest")
    found = [
        tuple(own.get(f"dataset.source.{key}", default) for key, default in zip(keys, (1, 3, 3), strict=True))
        for own in gate.data.values()
    ]
    assert found == [(1, 3, 3), (8, 3, 3), (1, 2, 2), (1, 8, 8)]


def fake_models(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Replace knockout and models; return the list that the knockout's commands are added to."""
    asked: list[list[str]] = []

    def knockout(command: list[str], **_: Any) -> None:
        asked.append(command)
        folder = Path(next(part for part in command if part.startswith("output=")).removeprefix("output="))
        folder.mkdir(parents=True)
        keys = ("none", "evidence_from_response", "evidence_from_question", "placebo_from_response")
        values = dict(zip(keys, (99.0, 20.0 + len(asked), 98.0, 97.0), strict=True)) | {"placebo_from_question": 96.0}
        (folder / "results.json").write_text(json.dumps(values))

    monkeypatch.setattr(subprocess, "run", knockout)
    monkeypatch.setattr(path_gate, "read_file", lambda path: [str(path)])
    monkeypatch.setattr(path_gate, "load_model", lambda name, device: name)
    monkeypatch.setattr(
        path_gate,
        "step_figures",
        lambda model, examples, batch: StepFigures(batch, 1.0 if "teacher" in model else 0.5, 0.9, 0.1),
    )
    return asked


def test_each_rule_names_the_data_that_it_was_measured_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fake_models(monkeypatch)
    gate = Gate("teacher", "student", {"few": {"dataset.path": "a"}, "so many": {"dataset.path": "b"}}, batch=4)
    for _ in range(2):
        measure(gate, tmp_path)
    assert [command[2] for command in asked] == ["checkpoint=teacher"] * 2
    assert ["batch=4" in command for command in asked] == [True] * 2
    assert [
        f"output={tmp_path / name / 'knockout'}" in command
        for name, command in zip(("few", "so_many"), asked, strict=True)
    ] == [True] * 2
    found = read_gate(tmp_path) or []
    assert len(found) == 12 and [rule.text for rule in found[::6]] == [
        "few: the teacher's next step is right",
        "so many: the teacher's next step is right",
    ]
    assert [rule.value for rule in found[3::6]] == [0.78, 0.77]  # 99 less 21, and less 22


def study(tmp_path: Path, *arguments: str) -> reproduce.Study:
    return plan_study(parse([f"output={tmp_path}", *arguments]), PLAN, CONF / "experiment")


def test_each_table_needs_its_own_gate(tmp_path: Path) -> None:
    assert list(gates(study(tmp_path, "tables=main"))) == []
    assert list(gates(study(tmp_path, f"tables={PATH},path_again,path_paper"))) == [GATE_FOLDER]
    assert list(gates(study(tmp_path, f"tables={TOKENS}"))) == list(gates(study(tmp_path, f"tables={LENGTH}")))
    assert list(gates(study(tmp_path, f"tables={PATH},{LENGTH}"))) == [GATE_FOLDER, WIDE_FOLDER]
    (path,) = gates(study(tmp_path, f"tables={PATH}")).values()
    assert path == Gate("assets/path_teacher", "assets/path_student", {"": path_data(CONF / "experiment")}, 64)
    assert {*OWN_CLAIMS} == {PATH, "path_again", "path_paper", *ENDS}


def test_the_gate_can_be_looked_at_without_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = fake_models(monkeypatch)
    monkeypatch.setattr(reproduce, "run_cells", lambda *_: pytest.fail("a run was made"))
    assert reproduce.make(study(tmp_path, f"tables={TOKENS},{LENGTH}", "gate=true")) == {}
    shown = capsys.readouterr().out
    assert len(asked) == 4 and shown.count("the teacher's next step is right") == 4
    assert "160 runs, 0 done" in shown and "50.0%  8 steps: the student's next step is right (40 to 70%)" in shown
    assert (tmp_path / WIDE_FOLDER / GATE).is_file() and not (tmp_path / GATE_FOLDER).exists()


def test_each_pair_of_models_is_judged_by_its_own_gate(tmp_path: Path) -> None:
    for folder, rules in ((WIDE_FOLDER, PASSED), (GATE_FOLDER, made.BROKEN)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / GATE).write_text(json.dumps([asdict(rule) for rule in rules]))
    found = reproduce.judge_own({PATH: made.result({}), **both({1024: 0.03}, {8: 0.03})}, tmp_path)
    said = {claim.letter: claim.verdict for claim in found}
    assert said == {"g": NOT_APPLICABLE, "h": NOT_APPLICABLE, "p": SUPPORTED, "q": SUPPORTED}


# ----------------------------------------------------------------------------------------------------- page


def test_claims_and_figures_stand_on_the_page_of_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "none").mkdir()
    source = "dataset: {source: {_target_: ral.worlds.visual_path.source, seed: 31}}"
    (tmp_path / "none" / "config.yaml").write_text(source)
    found = both({1024: 0.03}, {2: 0.03})
    assert set(draw(list(found.values()), None, {})) == {f"{TOKENS}_lead", f"{LENGTH}_lead"}
    figures = {f"{name}_lead": f"{name}.png" for name in found}
    page = Page(list(found.values()), judge_wide(found, PASSED), {}, None, figures)
    split = pages(page)
    assert list(split) == [PATH_PAGE]
    text = write(split[PATH_PAGE])
    tokens, _, length = text.partition(f"### {TABLES[LENGTH].title}")
    assert "(p) RAL's lead over GRPO grows with visual tokens | **supported**" in tokens
    assert "(q) RAL's lead over GRPO grows with the length of the route | **contradicted**" in tokens
    assert "(q) RAL's lead over GRPO grows with the length of the route: the same" in tokens  # the rule
    assert "2 comparisons of up to 10 pairs" in tokens and f"]({TOKENS}.png)" in tokens
    assert "A claim rests on its first and last rows" in length and f"]({LENGTH}.png)" in length


def test_a_page_names_all_data_of_its_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, seed, asked in (("none", 31, 2), ("other", 21, 3)):
        (tmp_path / folder / "eval").mkdir(parents=True)
        source = f"dataset: {{source: {{_target_: ral.worlds.visual_path.source, seed: {seed}}}}}"
        (tmp_path / folder / "config.yaml").write_text(source)
        (tmp_path / folder / "eval" / "after.jsonl").write_text('{"problem_type": "free-form"}\n' * asked)
    first = made.result({"grpo": 0.5})
    runs = {
        seed: Run(seed, Path("other"), run.evaluations, 0.1, 60.0, "c" * 40, "x")
        for seed, run in next(row.runs for row in first.full).items()
    }
    first = TableResult(first.table, tuple(RowResult(r.row, runs if r.runs else {}, 12, r.mean) for r in first.rows))
    text = write(Page([first, result(LENGTH, {})], [], {}, None, {}))
    assert "(`visual_path`, seed 21; `visual_path`, seed 31): 12 steps, then 3 or 2 held-out questions" in text


def test_claim_c_of_the_first_study_is_not_judged_by_these_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have an axis of tokens."""
    given: list[Mapping[str, Any]] = []

    def judge(main: Any, base: Any, found: Any, trained: Mapping[str, Any]) -> list[Any]:
        given.append(trained)
        return []

    monkeypatch.setattr(reproduce, "results_of", lambda *_: [made.result({}), result(TOKENS, {1024: 0.1})])
    monkeypatch.setattr(reproduce, "MAIN", PATH)
    monkeypatch.setattr(reproduce, "judge", judge)
    monkeypatch.setattr(reproduce, "write", lambda page: "")
    reproduce.report(study(tmp_path, f"tables={TOKENS}"), {}, tmp_path)
    assert given == [{}]
    claims = json.loads((tmp_path / "results.json").read_text())["claims"]
    assert [claim["letter"] for claim in claims] == list(LETTERS)
