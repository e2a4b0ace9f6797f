"""The study as a whole: makes the runs that are not done, analyses all runs, writes page, numbers and figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ral.report.environment import environment
from ral.study import path_gate, path_wide, resolution
from ral.study.block import replace_block
from ral.study.claims import Claim, Resolution, judge
from ral.study.command import Settings
from ral.study.figures import draw, save
from ral.study.page import OWN_CLAIMS, Page, write
from ral.study.path_again import AGAIN, judge_again
from ral.study.path_claims import PATH, judge_path
from ral.study.path_figures import path_figures
from ral.study.path_gate import Gate, measure, read_gate
from ral.study.path_paper import PAPER, judge_paper
from ral.study.path_wide import judge_wide, wide_gate
from ral.study.plan import MAIN, Table, cells, experiment_settings, is_done, read_tables, select
from ral.study.processes import alone
from ral.study.results import (
    Run,
    TableResult,
    all_seeds,
    along,
    analyse,
    base_run,
    compared_facts,
    done_seeds,
    facts,
)
from ral.study.runs import run_cells

GATE_FOLDER, WIDE_FOLDER = "path_gate", "path_wide_gate"
"""Folders below the study's output for the results of the gate of the table `path`, and of that of the wide models."""
PATH_PAGE, MAIN_PAGE = "results.md", "results_visual_search.md"
"""Pages of docs/: that of the tables in OWN_CLAIMS, such as `path`, and that of all other tables."""
TITLE = "# The paper's claims put to the test\n\n"


@dataclass(frozen=True)
class Study:
    """The command line's settings and the whole plan. chosen: the tables asked for, with the rows asked for.

    keep: names of experiments whose weights are kept. choice: how the difficulty of the questions was chosen, in words.
    experiments: the folder of the experiments' yaml files.
    """

    settings: Settings
    tables: Mapping[str, Table]
    chosen: Sequence[Table]
    keep: Sequence[str]
    choice: str
    experiments: Path


def plan_study(settings: Settings, raw: Mapping[str, Any], experiments: Path) -> Study:
    """Return the study of the tables that the command line asks for. UserError for an unknown table or row.

    raw: content of conf/reproduce.yaml. experiments: the folder of the experiments' yaml files.
    """
    tables = read_tables(raw)
    wanted = tuple(tables) if settings.tables == ("all",) else settings.tables
    chosen = select(tables, wanted, settings.rows)
    return Study(settings, tables, chosen, raw["keep_weights"], raw["choice"], experiments)


def make(study: Study) -> dict[str, str]:
    """Make the runs that are not done, and measure the gates that tables need; return {cell: why it failed}.

    Nothing is run with processes=0, and the gates alone with gate=true. UserError where another process makes runs in
    the output folder.
    """
    settings = study.settings
    planned = cells(study.chosen, settings.seeds, settings.output, study.keep)
    todo = [cell for cell in planned if not is_done(cell.folder, cell.overrides, study.experiments)]
    print(f"{len(planned)} runs, {len(planned) - len(todo)} done", flush=True)
    if not settings.processes:
        return {}
    with alone(settings.output):
        for folder, gate in gates(study).items():
            measure(gate, settings.output / folder)
            if settings.gate:
                print(path_gate.page(read_gate(settings.output / folder) or ()))
        return run_cells(todo, settings.processes) if todo and not settings.gate else {}


def gates(study: Study) -> dict[str, Gate]:
    """Return {folder below the output: gate} of the gates that the chosen tables need."""
    names = {table.name for table in study.chosen}
    path, wide = (path_data(study.experiments, name) for name in (PATH, path_wide.EXPERIMENT))
    each = {
        GATE_FOLDER: (Gate(path_gate.TEACHER_FOLDER, path_gate.STUDENT_FOLDER, {"": path}), {PATH, AGAIN, PAPER}),
        WIDE_FOLDER: (wide_gate(wide), path_wide.ENDS.keys()),
    }
    return {folder: gate for folder, (gate, tables) in each.items() if names & tables}


def path_data(experiments: Path, name: str = PATH) -> dict[str, Any]:
    """Return {dotted key: value} of the dataset settings in an experiment, that of the table `path` by default."""
    return {k: v for k, v in experiment_settings(experiments / f"{name}.yaml").items() if k.startswith("dataset.")}


def published(study: Study) -> list[Table]:
    """Return the tables for docs/, with all of their rows.

    They are `main`, the chosen tables, and every table with a done run in a row that `main` does not have.
    """
    output, experiments = study.settings.output, study.experiments
    shared = {row.overrides for row in study.tables[MAIN].rows}
    wanted = {MAIN, *(table.name for table in study.chosen)}
    return [
        table
        for table in study.tables.values()
        if table.name in wanted
        or any(done_seeds(row, output, experiments) for row in table.rows if row.overrides not in shared)
    ]


def results_of(study: Study, base: Run | None) -> list[TableResult]:
    """Return the analysis of the chosen tables; with docs=true that of all tables which `published` returns.

    base: the shipped model's run; None where it is not done.
    """
    output, seeds, experiments = study.settings.output, study.settings.seeds, study.experiments
    if not study.settings.docs:
        return [analyse(table, seeds, output, experiments, base) for table in study.chosen]
    return [
        analyse(table, all_seeds(table, seeds, output, experiments), output, experiments, base)
        for table in published(study)
    ]


def resolutions(study: Study, main: TableResult | None) -> tuple[dict[str, Resolution], list[str]]:
    """Return {axis: accuracies} of trained models at other resolutions, and lines on problems and on what is missing.

    With resolution=true the missing evaluations are run first. main: the table `main`; None where it was not asked for.
    """
    settings = study.settings
    kept = {row.row.label: row.runs for row in main.full} if main else {}
    points = resolution.points(kept, settings.output)
    asked = settings.resolution and settings.processes
    problems = resolution.make_all(points, settings.processes) if asked else []
    found: dict[str, Resolution] = {axis: resolution.read(points, axis) for axis in ("tokens", "frames")}
    if settings.resolution or any(found.values()):
        problems += resolution.missing(points)
    return found, problems


def verdicts(claims: Sequence[Claim]) -> list[dict[str, Any]]:
    """Return the claims as plain values, for results.json."""
    return [
        {"letter": claim.letter, "claim": claim.text, "verdict": claim.verdict}
        | {
            "comparisons": [
                {"name": k.name, "decides": k.decides, "margin": k.margin, "found": compared_facts(k.found)}
                for k in claim.comparisons
            ]
        }
        for claim in claims
    ]


def judge_own(results: Mapping[str, TableResult], output: Path) -> list[Claim]:
    """Return the claims of the tables in OWN_CLAIMS. results: {table with runs: its results}. output: the study's."""
    gate, wide = read_gate(output / GATE_FOLDER), read_gate(output / WIDE_FOLDER)
    judges = {PATH: judge_path, AGAIN: judge_again, PAPER: judge_paper}
    claims = [claim for name, judged in judges.items() if name in results for claim in judged(results[name], gate)]
    return claims + (judge_wide(results, wide) if results.keys() & path_wide.ENDS.keys() else [])


def report(study: Study, failed: Mapping[str, str], docs: Path) -> None:
    """Write results.md, results.json and the figures of all done runs; with docs=true also the pages in `docs`.

    failed: {cell: why it failed}, which the page lists.
    """
    output, base = study.settings.output, base_run(study.settings.output, study.experiments)
    results = results_of(study, base)
    main = next((result for result in results if result.table.name == MAIN), None)
    found, problems = resolutions(study, main)
    first = [result for result in results if result.table.name not in OWN_CLAIMS]
    trained = {result.table.axis: along(result) for result in first if result.table.axis and result.rows}
    own = {result.table.name: result for result in results if result.table.name in OWN_CLAIMS and result.full}
    claims = [*(judge(main, base, found, trained) if main else []), *judge_own(own, output)]
    figures, env = draw(results, base, found), environment()
    knockout = output / GATE_FOLDER / "knockout" / "results.json"
    figures |= path_figures(own[PATH], knockout) if PATH in own else {}
    problems = [f"failed: `{name}`: {problem}" for name, problem in failed.items()] + problems
    page = Page(results, claims, env, base, save(figures, output), found, problems, study.choice)
    (output / "results.md").write_text(TITLE + write(page))
    content = {"environment": env, "claims": verdicts(claims), "tables": facts(results), "resolution": found}
    (output / "results.json").write_text(json.dumps(content, indent=1) + "\n")
    print(f"results: {output / 'results.md'}")
    if study.settings.docs:
        publish(page, figures, docs)


def publish(page: Page, figures: Mapping[str, Any], docs: Path) -> None:
    """Replace the generated block of each page in docs/ whose tables have runs, and write the figures.

    UserError where a page has no marks around such a block.
    """
    names = {k: f"figures/{v}" for k, v in save(figures, docs / "figures", "reproduce_").items()}
    for name, part in pages(replace(page, figures=names)).items():
        text = write(part)
        (docs / name).write_text(replace_block((docs / name).read_text(), text, name))
        print(f"docs: {docs / name}")


def pages(page: Page) -> dict[str, Page]:
    """Return {file in docs/: its content}: one for the tables in OWN_CLAIMS, one for the rest; only pages with runs."""
    letters = {letter for own, _ in OWN_CLAIMS.values() for letter in own}
    path, rest = ([r for r in page.results if (r.table.name in OWN_CLAIMS) == own] for own in (True, False))
    claims, others = ([c for c in page.claims if (c.letter in letters) == own] for own in (True, False))
    found = {
        PATH_PAGE: replace(page, results=path, claims=claims, resolution={}, choice=""),
        MAIN_PAGE: replace(page, results=rest, claims=others),
    }
    return {name: part for name, part in found.items() if any(result.full for result in part.results)}
