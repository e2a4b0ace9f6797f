"""A sweep's runs side by side: means over seeds with intervals, paired differences, learning curves."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ral.errors import UserError
from ral.files import jsonl, markdown
from ral.files.run_folder import ERROR
from ral.study.statistics import Interval, holm, interval, sign_flip_p

UNTITLED = "(defaults)"
NOT_ITS_KIND = ("seed=", "hydra.", "hydra/", "name=", "resume=")
"""Overrides in which runs of one row may differ."""
PERCENT = re.compile(r"accuracy|format|grounding|finished")
COLUMNS = ("runs", "seeds", "mean", "95% interval", "less {}", "95% interval", "p", "p (Holm)")


@dataclass(frozen=True)
class Run:
    """One finished run: its folder, what was overridden but the seed, the seed, and {step: value} of the metric.

    name: of its row, the overrides that not all runs have.
    """

    folder: Path
    own: tuple[str, ...]
    seed: int
    values: Mapping[int, float]
    name: str = UNTITLED

    @property
    def last(self) -> float:
        """Return the value of the last evaluation."""
        return self.values[max(self.values)]


@dataclass
class Row:
    """The runs of one composition; difference, p: to the baseline over common seeds (None for the baseline itself)."""

    name: str
    runs: list[Run]
    mean: Interval
    difference: Interval | None = None
    p: float = math.nan
    corrected: float = math.nan


def read_run(folder: Path, metric: str) -> Run | str:
    """Return a run, or why it cannot be compared."""
    overrides = folder / ".hydra" / "overrides.yaml"
    given = yaml.safe_load(overrides.read_text()) if overrides.is_file() else []
    config = yaml.safe_load((folder / "config.yaml").read_text()) if (folder / "config.yaml").is_file() else {}
    if (folder / ERROR).is_file():
        return (folder / ERROR).read_text().strip().splitlines()[-1]
    lines = jsonl.readable(folder / "metrics.jsonl")
    values = {int(line["step"]): float(line[metric]) for line in lines if metric in line}
    if not values:
        return f"no {metric} in metrics.jsonl" if lines else "it has no metrics.jsonl"
    steps = config.get("max_steps")
    if steps is not None and max(values) < steps:
        return f"it is not finished: its last evaluation is that of step {max(values)} of {steps}"
    own = sorted(str(o) for o in given or [] if not str(o).startswith(NOT_ITS_KIND))
    return Run(folder, tuple(own), int(config.get("seed", 0)), values)


def read_all(folder: Path, metric: str) -> tuple[list[Run], dict[str, str]]:
    """Return the runs below a folder, and {folder: reason} of those that cannot be compared.

    UserError where there is none.
    """
    begun = {path.parents[1] for path in folder.glob("*/.hydra/overrides.yaml")}
    folders = sorted(begun | {path.parent for path in folder.glob("*/metrics.jsonl")})
    if not folders:
        raise UserError(f"{folder}: holds no runs; write the folder of a sweep, as outputs/<date>/<time>-sweep")
    found = {run.name: read_run(run, metric) for run in folders}
    runs = [run for run in found.values() if isinstance(run, Run)]
    lost = {name: run for name, run in found.items() if isinstance(run, str)}
    runs, repeated = newest(runs)
    lost |= repeated
    if not runs:
        raise UserError(f"{folder}: no run can be compared; the first, {next(iter(lost))}: {next(iter(lost.values()))}")
    return named(runs), lost


def named(runs: Sequence[Run]) -> list[Run]:
    """Return the runs with the names of their rows."""
    kinds = {run.own for run in runs}
    common = set.intersection(*map(set, kinds)) if len(kinds) > 1 else set()
    return [replace(run, name=" ".join(o for o in run.own if o not in common) or UNTITLED) for run in runs]


def newest(runs: Sequence[Run]) -> tuple[list[Run], dict[str, str]]:
    """Keep the last written of runs with the same settings; return {folder: reason} of the others too."""
    kept: dict[tuple[tuple[str, ...], int], Run] = {}
    lost: dict[str, str] = {}
    for run in sorted(runs, key=lambda run: (run.folder / "metrics.jsonl").stat().st_mtime):
        if (before := kept.pop((run.own, run.seed), None)) is not None:
            lost[before.folder.name] = f"{run.folder.name} is the same run again, and newer"
        kept[run.own, run.seed] = run
    return [run for run in runs if kept[run.own, run.seed] is run], lost


def make_rows(runs: Sequence[Run], baseline: str | None) -> list[Row]:
    """Return a row for each composition, the baseline first: the one that `baseline` occurs in, or the first."""
    names = list(dict.fromkeys(run.name for run in runs))
    fitting = {run.name for run in runs if baseline is None or baseline in (*run.own, run.name)}
    chosen = [name for name in names if name in fitting]
    listed = ", ".join(repr(name) for name in names)
    if not chosen:
        raise UserError(f"--baseline {baseline}: no such runs; write one of {listed}")
    if baseline is not None and len(chosen) > 1:
        raise UserError(
            f"--baseline {baseline}: {len(chosen)} kinds of runs have it; write the whole of one of {listed}"
        )
    ordered = [chosen[0], *(name for name in names if name != chosen[0])]
    of = {name: [run for run in runs if run.name == name] for name in ordered}
    rows = [Row(name, of[name], interval([run.last for run in of[name]])) for name in ordered]
    first = {run.seed: run.last for run in rows[0].runs}
    for row in rows[1:]:
        pairs = [run.last - first[run.seed] for run in row.runs if run.seed in first]
        if pairs:
            row.difference, row.p = interval(pairs), sign_flip_p(pairs)
    tested = [row for row in rows if row.difference is not None]
    for row, value in zip(tested, holm([row.p for row in tested]), strict=True):
        row.corrected = value
    return rows


def cells(row: Row, scale: float) -> list[str]:
    """Return a row as text."""

    def number(value: float, sign: str = "") -> str:
        return "-" if math.isnan(value) else f"{scale * value:{sign}.{1 if scale > 1 else 4}f}"

    def between(found: Interval | None, sign: str = "") -> str:
        known = found is not None and not math.isnan(found.low)
        return f"{number(found.low, sign)} to {number(found.high, sign)}" if known and found is not None else "-"

    seeds = ", ".join(str(run.seed) for run in sorted(row.runs, key=lambda run: run.seed))
    less = "-" if row.difference is None else number(row.difference.mean, "+")
    ps = ["-" if math.isnan(p) else f"{p:.3f}" for p in (row.p, row.corrected)]
    return [row.name, seeds, number(row.mean.mean), between(row.mean), less, between(row.difference, "+"), *ps]


def page(rows: Sequence[Row], lost: Mapping[str, str], metric: str, scale: float) -> str:
    """Return compare.md."""
    head = [column.format(f"`{rows[0].name}`") for column in COLUMNS]
    table = markdown.table(head, [cells(row, scale) for row in rows], left=len(head))
    unit = ", in %" if scale > 1 else ""
    text = f"# {metric}{unit}, last evaluation\n\n" + table
    text += "\nIntervals: Student's t over seeds. Differences: pairs of runs with the same seed; p by sign flips.\n"
    return text + "".join(f"\nLeft out: `{name}`: {reason}\n" for name, reason in lost.items())


def figure(rows: Sequence[Row], metric: str, scale: float, file: Path) -> None:
    """Draw learning curves: mean over seeds, with a band of the 95% interval where there are two seeds or more."""
    drawing = Figure(figsize=(8, 4.5), layout="constrained")
    axes = drawing.subplots()
    for row in rows:
        steps = sorted(set.intersection(*(set(run.values) for run in row.runs)))
        found = [interval([scale * run.values[step] for run in row.runs]) for step in steps]
        (line,) = axes.plot(steps, [f.mean for f in found], marker="o", label=f"{row.name} (n={len(row.runs)})")
        if len(row.runs) > 1:
            low, high = [f.low for f in found], [f.high for f in found]
            axes.fill_between(steps, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.set(xlabel="step", ylabel=metric + (", %" if scale > 1 else ""))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    FigureCanvasAgg(drawing).print_png(str(file))


def facts(rows: Sequence[Row], lost: Mapping[str, str], metric: str) -> dict[str, Any]:
    """Return compare.json; values in the metric's own unit."""

    def plain(value: float) -> float | None:
        return None if math.isnan(value) else value

    def ends(found: Interval | None) -> dict[str, Any] | None:
        return None if found is None else {k: plain(v) for k, v in vars(found).items()}

    groups = [
        {
            "name": row.name,
            "values": {str(run.seed): run.last for run in row.runs},
            "mean": ends(row.mean),
            "difference": ends(row.difference),
            "p": plain(row.p),
            "p_holm": plain(row.corrected),
        }
        for row in rows
    ]
    return {"metric": metric, "baseline": rows[0].name, "groups": groups, "left_out": dict(lost)}


def compare(folder: Path, output: Path, metric: str, baseline: str | None) -> list[Row]:
    """Read, compute, write. UserError where there is nothing to compare."""
    runs, lost = read_all(folder, metric)
    rows, scale = make_rows(runs, baseline), 100.0 if PERCENT.search(metric) else 1.0
    output.mkdir(parents=True, exist_ok=True)
    (output / "compare.md").write_text(page(rows, lost, metric, scale))
    (output / "compare.json").write_text(json.dumps(facts(rows, lost, metric), indent=1) + "\n")
    figure(rows, metric, scale, output / "compare.png")
    table = Table(*(escape(column.format(rows[0].name)) for column in COLUMNS), title=escape(metric))
    for row in rows:
        table.add_row(*map(escape, cells(row, scale)))
    console = Console()
    console.print(table)
    for name, reason in lost.items():
        console.print(f"left out: {name}: {reason}", markup=False, highlight=False)
    return rows
