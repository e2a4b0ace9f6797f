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
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ral.errors import UserError
from ral.files import jsonl, markdown
from ral.files.run_folder import ERROR
from ral.report.curves import LIGHT, dress, style
from ral.study.statistics import Interval, holm, interval, sign_flip_p

UNTITLED = "(defaults)"
NOT_ITS_KIND = ("seed=", "hydra.", "hydra/", "name=", "resume=")
"""Overrides in which runs of one row may differ."""
PERCENT = re.compile(r"accuracy|format|grounding|finished")
"""Metrics that are shares: shown in percent, and with intervals within 0 and 100."""
COLUMNS = ("runs", "seeds", "mean", "95% interval", "minus {}", "95% interval", "p", "p (Holm)")
PARTS = 2
"""Parts of a dotted key that a row's short name keeps, from the last."""
NARROW = 26
"""Characters of a row's name in the terminal, before it wraps."""


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


def short_name(name: str) -> str:
    """Return a row's name as tables show it: "algo=ral algo.attention.coef=2" is "RAL attention.coef=2"."""

    def one(override: str) -> str:
        key, equals, value = override.lstrip("+~").partition("=")
        if key == "algo":
            return value.upper().replace("_", "-")
        return f"{'.'.join(key.split('.')[-PARTS:])}{equals}{value}"

    return " ".join(one(override) for override in name.split(" "))


def cut(found: Interval | None, low: float, high: float) -> Interval | None:
    """Return an interval cut at the ends of what is possible: Student's t knows none."""
    if found is None or math.isnan(found.low):
        return found
    return replace(found, low=max(found.low, low), high=min(found.high, high))


def cells(row: Row, scale: float) -> list[str]:
    """Return a row as text; of shares, scale 100, intervals keep within what is possible."""

    def number(value: float, sign: str = "") -> str:
        return "-" if math.isnan(value) else f"{scale * value:{sign}.{1 if scale > 1 else 4}f}"

    def between(found: Interval | None, sign: str = "") -> str:
        known = found is not None and not math.isnan(found.low)
        return f"{number(found.low, sign)} to {number(found.high, sign)}" if known and found is not None else "-"

    seeds = ", ".join(str(run.seed) for run in sorted(row.runs, key=lambda run: run.seed))
    less = "-" if row.difference is None else number(row.difference.mean, "+")
    ps = ["-" if math.isnan(p) else f"{p:.3f}" for p in (row.p, row.corrected)]
    mean, difference = (cut(row.mean, 0, 1), cut(row.difference, -1, 1)) if scale > 1 else (row.mean, row.difference)
    name = short_name(row.name)
    return [name, seeds, number(row.mean.mean), between(mean), less, between(difference, "+"), *ps]


def narrow(row: Row, scale: float) -> list[str]:
    """Return a row for a terminal of 80 columns: intervals below their means, the number of seeds for their list."""
    name, _, mean, ends, less, difference, _, p = cells(row, scale)
    return [name, str(len(row.runs)), f"{mean}\n{ends}", f"{less}\n{difference}", p]


def page(rows: Sequence[Row], lost: Mapping[str, str], metric: str, scale: float) -> str:
    """Return compare.md."""
    head = [column.format(short_name(rows[0].name)) for column in COLUMNS]
    table = markdown.table(head, [cells(row, scale) for row in rows], left=len(head))
    unit = ", in %" if scale > 1 else ""
    text = f"# {metric}{unit}, last evaluation\n\n" + table
    text += "\nIntervals: Student's t over seeds. Differences: pairs of runs with the same seed; p by sign flips.\n"
    text += "Intervals of shares are cut at 0 and 100.\n" if scale > 1 else ""
    return text + "".join(f"\nLeft out: `{name}`: {reason}\n" for name, reason in lost.items())


def figure(rows: Sequence[Row], metric: str, scale: float, file: Path) -> None:
    """Draw learning curves: mean over seeds, with a band of the 95% interval where there are two seeds or more."""
    drawing = Figure(figsize=(8, 4.5), layout="constrained")
    axes = drawing.subplots()
    for n, row in enumerate(rows):
        steps = sorted(set.intersection(*(set(run.values) for run in row.runs)))
        found = [interval([scale * run.values[step] for run in row.runs]) for step in steps]
        look = style(n)
        axes.plot(steps, [f.mean for f in found], label=f"{short_name(row.name)} (n={len(row.runs)})", **look)
        if len(row.runs) > 1:
            ends = [cut(f, 0, scale) if scale > 1 else f for f in found]
            low, high = [f.low for f in ends if f], [f.high for f in ends if f]
            axes.fill_between(steps, low, high, color=look["color"], alpha=0.12, linewidth=0)
    dress(axes)
    axes.set_xlabel("step", color=LIGHT.ink, fontsize=9)
    axes.set_ylabel(metric + (", %" if scale > 1 else ""), color=LIGHT.ink, fontsize=9)
    axes.legend(fontsize=9, frameon=False, labelcolor=LIGHT.ink)
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
    table = Table(box=SIMPLE_HEAD, title=escape(f"{metric}{', %' if scale > 1 else ''} (95% intervals below)"))
    table.add_column("runs", max_width=NARROW, overflow="fold")
    for name in ("seeds", "mean", f"minus {short_name(rows[0].name)}", "p (Holm)"):
        table.add_column(escape(name), justify="right")
    for row in rows:
        table.add_row(*map(escape, narrow(row, scale)))
    console = Console()
    console.print(table)
    for name, reason in lost.items():
        console.print(f"left out: {name}: {reason}", markup=False, highlight=False)
    return rows
