"""Claim (i) on made-up runs: each bound of its rule, its own seeds, and its place on the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import test_path_claims as made
import yaml
from conftest import CONF

from ral.study.claims import CONTRADICTED, INCONCLUSIVE, NOT_APPLICABLE, SUPPORTED
from ral.study.page import Page, write
from ral.study.path_again import AGAIN, EXPLORE, PLACEBO, judge_again
from ral.study.path_claims import GRPO, PATH
from ral.study.plan import Cell, cells, read_tables, seeds_of
from ral.study.reproduce import PATH_PAGE, pages
from ral.study.results import RowResult, TableResult, all_seeds
from ral.study.statistics import interval

TABLES = read_tables(yaml.safe_load((CONF / "reproduce.yaml").read_text()))
TABLE = TABLES[AGAIN]


def result(means: Mapping[str, float]) -> TableResult:
    """The table with runs of the named rows."""
    rows = []
    for row in TABLE.rows:
        own = made.runs(means[row.label], 0.5) if row.label in means else {}
        mean = interval([run.last["eval/accuracy"] for run in own.values()]) if own else None
        rows.append(RowResult(row, own, made.SEEDS, mean))
    return TableResult(TABLE, tuple(rows))


@pytest.mark.parametrize(
    ("explore", "placebo", "said"),
    [
        (0.85, 0.80, SUPPORTED),
        (0.85, 0.86, CONTRADICTED),  # the placebo gains more
        (0.75, 0.70, CONTRADICTED),  # above its placebo, below GRPO
        (0.80, 0.75, INCONCLUSIVE),  # as GRPO
        (0.85, 0.85, INCONCLUSIVE),  # as its placebo
    ],
)
def test_each_part_of_the_rule_decides(explore: float, placebo: float, said: str) -> None:
    found = judge_again(result({GRPO: 0.80, EXPLORE: explore, PLACEBO: placebo}), made.PASSED)
    assert [claim.verdict for claim in found] == [said]


@pytest.mark.parametrize("gate", [None, made.BROKEN])
def test_without_the_gate_the_claim_does_not_apply(gate: list[made.Rule] | None) -> None:
    found = judge_again(result({GRPO: 0.80, EXPLORE: 0.9, PLACEBO: 0.8}), gate)
    assert [claim.verdict for claim in found] == [NOT_APPLICABLE]


def test_no_seed_of_the_first_table_is_used(tmp_path: Path) -> None:
    """The first table has seeds 0 to 19, the second 20 to 39, of the same rows in the same folders."""
    own = {cell.seed for cell in cells([TABLE], None, tmp_path, [])}
    before = {cell.seed for cell in cells([TABLES[PATH]], None, tmp_path, [])}
    assert own == set(range(20, 40)) and not own & before
    shared = {folder_of(cell) for cell in cells([TABLES[PATH]], None, tmp_path, [])}
    assert {folder_of(cell) for cell in cells([TABLE], None, tmp_path, [])} & shared
    assert seeds_of(TABLE, [3]) == (3,) and all_seeds(TABLE, [3, 45], tmp_path, CONF / "experiment")[-1] == 45
    assert min(all_seeds(TABLE, [3, 45], tmp_path, CONF / "experiment")) == 20


def folder_of(cell: Cell) -> str:
    return cell.folder.parent.name


def test_the_claim_stands_with_its_table_on_the_page_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "none").mkdir()
    source = "dataset: {source: {_target_: ral.worlds.visual_path.source, seed: 21}}"
    (tmp_path / "none" / "config.yaml").write_text(source)
    found = result({GRPO: 0.80, EXPLORE: 0.85, PLACEBO: 0.80})
    page = Page([found], judge_again(found, made.PASSED), {}, None, {})
    split = pages(page)
    assert list(split) == [PATH_PAGE]
    text = write(split[PATH_PAGE])
    own = text.partition(f"### {TABLE.title}")[2]
    assert "| (i) RAL with noise" in own and f"**{SUPPORTED}**" in own and "no seed of that table is used" in own
    assert "Indicative" not in own and "### Claims" not in text
