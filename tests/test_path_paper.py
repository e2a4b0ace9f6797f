"""Claims (j) to (o) on made-up runs: the rules of the first study's letters, on seeds of their own, and the gate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import test_path_claims as made
import yaml
from conftest import CONF

from ral.study.claims import CONTRADICTED, INCONCLUSIVE, NOT_APPLICABLE, SUPPORTED
from ral.study.page import Page, write
from ral.study.path_again import AGAIN
from ral.study.path_paper import LETTERS, PAPER, judge_paper
from ral.study.plan import cells, read_tables
from ral.study.results import GROUNDING, RowResult, Run, TableResult
from ral.study.statistics import interval

TABLES = read_tables(yaml.safe_load((CONF / "reproduce.yaml").read_text()))
TABLE = TABLES[PAPER]
KIND = "eval/accuracy_arrows"
LEVEL = {"base": 0.40, "base_zero": 0.10, "grpo": 0.60, "ral": 0.60, "ral_zero": 0.12, "distill": 0.70}
LEVEL |= {"ral_distill": 0.70}


def runs(accuracy: float, grounding: float, number: int) -> dict[int, Run]:
    """Runs around a mean, the more accurate the later of five seeds."""
    found = {}
    for seed in range(number):
        own = accuracy + 0.001 * (seed % 5) * accuracy
        last = {"eval/accuracy": own, KIND: own, GROUNDING: grounding + 0.001 * (seed % 5) * grounding}
        found[seed] = Run(seed, Path("none"), {12: last}, 0.1, 60.0, "c" * 40, "python train.py")
    return found


def result(changed: Mapping[str, float], grounding: Mapping[str, float] | None = None) -> TableResult:
    """The table with runs of all rows at LEVEL but for those changed; grounding is 0.4 where none is given."""
    rows = []
    for row in TABLE.rows:
        number = row.own_seeds or made.SEEDS
        own = runs({**LEVEL, **changed}[row.label], (grounding or {}).get(row.label, 0.4), number)
        rows.append(RowResult(row, own, number, interval([run.last["eval/accuracy"] for run in own.values()])))
    return TableResult(TABLE, tuple(rows))


@pytest.mark.parametrize(
    ("letter", "changed", "said"),
    [
        ("j", {}, INCONCLUSIVE),
        ("j", {"ral": 0.65}, SUPPORTED),
        ("j", {"ral": 0.55}, CONTRADICTED),
        ("k", {}, NOT_APPLICABLE),  # GRPO is above the student
        ("k", {"grpo": 0.35, "ral": 0.45}, SUPPORTED),
        ("k", {"grpo": 0.35, "ral": 0.35}, CONTRADICTED),
        ("m", {}, CONTRADICTED),  # above the student that does not think, below the one that does
        ("m", {"ral_zero": 0.45}, SUPPORTED),
        ("n", {}, INCONCLUSIVE),
        ("n", {"ral_distill": 0.75}, SUPPORTED),
        ("n", {"ral_distill": 0.65}, CONTRADICTED),
    ],
)
def test_each_claim_is_judged_by_its_rule(letter: str, changed: Mapping[str, float], said: str) -> None:
    found = {claim.letter: claim.verdict for claim in judge_paper(result(changed), made.PASSED)}
    assert tuple(found) == LETTERS and found[letter] == said


@pytest.mark.parametrize(("ral", "said"), [(0.45, SUPPORTED), (0.35, CONTRADICTED), (0.40, INCONCLUSIVE)])
def test_the_last_is_about_grounding(ral: float, said: str) -> None:
    assert judge_paper(result({}, {"ral": ral}), made.PASSED)[-1].verdict == said


@pytest.mark.parametrize("gate", [None, made.BROKEN])
def test_without_the_gate_none_applies(gate: list[made.Rule] | None) -> None:
    found = judge_paper(result({"ral": 0.65, "ral_distill": 0.75, "grpo": 0.55}), gate)
    assert {claim.verdict for claim in found} == {NOT_APPLICABLE}


def test_runs_are_on_seeds_of_their_own_and_grpo_is_shared(tmp_path: Path) -> None:
    planned = cells([TABLE], None, tmp_path, [])
    assert len(planned) == 2 + 5 * 20
    assert {cell.seed for cell in planned if "max_steps=1" not in cell.overrides} == set(range(20, 40))
    again = {cell.folder for cell in cells([TABLES[AGAIN]], None, tmp_path, [])}
    assert len({cell.folder for cell in planned} & again) == 20


def test_the_page_names_the_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "none").mkdir()
    source = "dataset: {source: {_target_: ral.worlds.visual_path.source, seed: 21}}"
    (tmp_path / "none" / "config.yaml").write_text(source)
    found = result({"ral_distill": 0.75})
    text = write(Page([found], judge_paper(found, made.PASSED), {}, None, {}))
    assert "| (n) Attention distillation adds" in text and "(o) is (f)" in text and f"**{SUPPORTED}**" in text
