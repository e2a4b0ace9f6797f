"""The paper's claims put to the test with the shipped model: rows x seeds of runs, statistics, figures, verdicts.

    python scripts/reproduce.py                                  # table `main`, 10 seeds: about an hour on two cores
    python scripts/reproduce.py tables=main,grid,frames          # what `make reproduce` runs: two hours
    python scripts/reproduce.py tables=main,lambda seeds=3
    python scripts/reproduce.py rows=grpo,ral seeds=0-4 processes=1
    python scripts/reproduce.py tables=main processes=0 docs=true     # no runs: tables and figures of what is there

tables=main         of conf/reproduce.yaml, separated by commas; all = every one
rows=...            labels of rows, separated by commas (of labels that hold one: by semicolons); default: all
seeds=...           how many (10), a range (0-4) or a list (0,3); default: the table's own
processes=2         runs at once, one thread each; 0 = only read what is there
output=outputs/reproduce     folder of the runs (runs/), results.md, results.json and figures
docs=false          true: results go to docs/results.md and docs/figures too; they then cover all tables and rows that
                    have runs in the output folder, whatever is run now
resolution=false    true: kept weights are evaluated at 4, 9, 16 visual tokens and 2, 4, 8 frames as well

The same command goes on after an interruption: runs that are done stay, others start again. Exit codes: 0, 1 where a
run failed or a key is wrong, 130 after Ctrl-C.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import reproduce_resolution
from omegaconf import OmegaConf
from reproduce_runs import alone, run_cells

from ral.errors import UserError
from ral.report.environment import environment
from ral.study.claims import Resolution, judge
from ral.study.figures import draw, save
from ral.study.page import Page, replace_block, write
from ral.study.plan import MAIN, Table, cells, is_done, read_tables, select
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

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PLAN = ROOT / "conf" / "reproduce.yaml"
EXPERIMENTS = ROOT / "conf" / "experiment"
INTERRUPTED = 130  # exit code after Ctrl-C: 128 + SIGINT


@dataclass(frozen=True)
class Settings:
    """The command line. seeds, rows: None where it does not say."""

    tables: tuple[str, ...] = (MAIN,)
    rows: tuple[str, ...] | None = None
    seeds: tuple[int, ...] | None = None
    processes: int = 2
    output: Path = Path("outputs/reproduce")
    docs: bool = False
    resolution: bool = False


def number(key: str, text: str) -> int:
    """A whole number from 0 on."""
    if not text.isdecimal():
        raise UserError(f"{key}={text}: write a whole number from 0 on")
    return int(text)


def seed_list(text: str) -> tuple[int, ...]:
    """The seeds that `10`, `0-4` or `0,3` names."""
    if "," in text:
        found = tuple(dict.fromkeys(number("seeds", part) for part in text.split(",") if part))
    elif "-" in text:
        first, _, last = text.partition("-")
        found = tuple(range(number("seeds", first), number("seeds", last) + 1))
    else:
        found = tuple(range(number("seeds", text)))
    if not found:
        raise UserError(f"seeds={text}: names no seed; write 10 (how many), 0-4 (a range) or 0,3 (a list)")
    return found


def flag(key: str, text: str) -> bool:
    """true or false."""
    if text not in ("true", "false"):
        raise UserError(f"{key}={text}: write {key}=true or {key}=false")
    return text == "true"


def names(text: str) -> tuple[str, ...]:
    """Names separated by commas, or by semicolons where there is one."""
    return tuple(part.strip() for part in text.split(";" if ";" in text else ",") if part.strip())


READ: Mapping[str, Callable[[str], Any]] = {
    "tables": names,
    "rows": names,
    "seeds": seed_list,
    "processes": lambda text: number("processes", text),
    "output": Path,
    "docs": lambda text: flag("docs", text),
    "resolution": lambda text: flag("resolution", text),
}


def parse(arguments: Sequence[str]) -> Settings:
    """The command line. UserError names an unknown key and the possible ones."""
    given = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or key not in READ:
            raise UserError(f"{argument}: unknown; write key=value with one of {', '.join(READ)} (--help says more)")
        given[key] = READ[key](value)
    return Settings(**given)


def make(settings: Settings, chosen: Sequence[Table], keep: Sequence[str]) -> dict[str, str]:
    """Run what is not done; {cell: why} of what failed."""
    planned = cells(chosen, settings.seeds, settings.output, keep)
    todo = [cell for cell in planned if not is_done(cell.folder, cell.overrides, EXPERIMENTS)]
    print(f"{len(planned)} runs, {len(planned) - len(todo)} done", flush=True)
    if not todo or not settings.processes:
        return {}
    with alone(settings.output):
        return run_cells(todo, settings.processes)


def published(tables: Mapping[str, Table], chosen: Sequence[Table], output: Path) -> list[Table]:
    """Whole tables for docs/: `main`, those chosen, and every one with runs that are not `main`'s too."""
    shared = {row.overrides for row in tables[MAIN].rows}
    wanted = {MAIN, *(table.name for table in chosen)}
    return [
        table
        for table in tables.values()
        if table.name in wanted
        or any(done_seeds(row, output, EXPERIMENTS) for row in table.rows if row.overrides not in shared)
    ]


def results_of(
    settings: Settings, tables: Mapping[str, Table], chosen: Sequence[Table], base: Run | None
) -> list[TableResult]:
    """What is analysed: what the command line says, or for docs/ everything that is there."""
    output = settings.output
    if not settings.docs:
        return [analyse(table, settings.seeds, output, EXPERIMENTS, base) for table in chosen]
    return [
        analyse(table, all_seeds(table, settings.seeds, output, EXPERIMENTS), output, EXPERIMENTS, base)
        for table in published(tables, chosen, output)
    ]


def report(
    settings: Settings, tables: Mapping[str, Table], chosen: Sequence[Table], failed: Mapping[str, str], choice: str
) -> None:
    """Write results.md, results.json and the figures of what is done; with docs=true into docs/ too."""
    output, base = settings.output, base_run(settings.output, EXPERIMENTS)
    results = results_of(settings, tables, chosen, base)
    main = next((result for result in results if result.table.name == MAIN), None)
    kept = {row.row.label: row.runs for row in main.full} if main else {}
    points = reproduce_resolution.points(kept, output)
    problems = [f"failed: `{name}`: {problem}" for name, problem in failed.items()]
    if settings.resolution and settings.processes:
        problems += reproduce_resolution.make_all(points, settings.processes)
    found: dict[str, Resolution] = {axis: reproduce_resolution.read(points, axis) for axis in ("tokens", "frames")}
    if settings.resolution or any(found.values()):
        problems += reproduce_resolution.missing(points)
    trained = {result.table.axis: along(result) for result in results if result.table.axis and result.rows}
    claims = judge(main, base, found, trained) if main else []
    figures, env = draw(results, base, found), environment()
    page = Page(results, claims, env, base, save(figures, output), found, problems, choice)
    (output / "results.md").write_text("# The paper's claims put to the test\n\n" + write(page))
    verdicts = [
        {"letter": c.letter, "claim": c.text, "verdict": c.verdict}
        | {
            "comparisons": [
                {"name": k.name, "decides": k.decides, "margin": k.margin, "found": compared_facts(k.found)}
                for k in c.comparisons
            ]
        }
        for c in claims
    ]
    content = {"environment": env, "claims": verdicts, "tables": facts(results), "resolution": found}
    (output / "results.json").write_text(json.dumps(content, indent=1) + "\n")
    print(f"results: {output / 'results.md'}")
    if settings.docs:
        names = {k: f"figures/{v}" for k, v in save(figures, DOCS / "figures", "reproduce_").items()}
        text = write(replace(page, figures=names))
        (DOCS / "results.md").write_text(replace_block((DOCS / "results.md").read_text(), text))
        print(f"docs: {DOCS / 'results.md'}")


def main(arguments: Sequence[str]) -> int:
    """Run, analyse, write; the exit code."""
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        return 0
    try:
        settings = parse(arguments)
        raw: Any = OmegaConf.to_container(OmegaConf.load(PLAN))
        tables = read_tables(raw)
        wanted = tuple(tables) if settings.tables == ("all",) else settings.tables
        chosen = select(tables, wanted, settings.rows)
        failed = make(settings, chosen, raw["keep_weights"])
        report(settings, tables, chosen, failed, raw["choice"])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on with the runs that are not done", file=sys.stderr)
        return INTERRUPTED
    for name, problem in failed.items():
        print(f"failed: {name}: {problem}", file=sys.stderr)
    if failed:
        print(f"error: {len(failed)} runs failed; the same command tries them again", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
