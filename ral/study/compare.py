"""The runs of a sweep compared: means over seeds with intervals, paired differences, learning curves."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ral.files import markdown
from ral.report.curves import LIGHT, dress, style
from ral.study.compare_rows import Row, make_rows, read_all, short_name
from ral.study.statistics import Interval, interval, least_p

PERCENT = re.compile(r"accuracy|format|grounding|finished")
"""Metrics that are shares: shown in percent, and with intervals within 0 and 100."""
NEVER_BELOW_0 = re.compile(r"jsd|entropy|tokens|length|norm|share|time/|memory|_s$|_gb$|_mb$")
"""Other metrics that cannot be below 0: their intervals end there."""
COLUMNS = ("runs", "seeds", "mean", "95% interval", "minus {}", "95% interval", "p", "p (Holm)")
NARROW = 26
"""Longest name, in characters, that stands in the terminal's table; for longer ones the rows are numbered."""
DIGITS = 3
"""Significant digits of a value that is not a share."""
PLAIN = "eval/accuracy"
"""The metric whose files are named compare.*; files of other metrics have the metric in their names."""


def bounds(metric: str) -> tuple[float, float]:
    """Return the least and the largest value that a metric can have; infinite where it has no bound."""
    if PERCENT.search(metric):
        return 0.0, 1.0
    return (0.0 if NEVER_BELOW_0.search(metric) else -math.inf), math.inf


def stem(metric: str) -> str:
    """Return the name of a metric's files without ending: "compare", or such as "compare_train_attention_jsd"."""
    return "compare" if metric == PLAIN else f"compare_{re.sub(r'[^A-Za-z0-9]+', '_', metric)}"


def cut(found: Interval | None, low: float, high: float) -> Interval | None:
    """Return an interval limited to the possible values [low, high]; unchanged where it is None or NaN."""
    if found is None or math.isnan(found.low):
        return found
    return replace(found, low=max(found.low, low), high=min(found.high, high))


def cells(row: Row, metric: str) -> list[str]:
    """Return a row's cells, in the order of COLUMNS, as text.

    Shares are in percent, other values have DIGITS significant digits. Intervals end at the possible values of
    `metric`.
    """
    (low, high), percent = bounds(metric), bool(PERCENT.search(metric))

    def number(value: float, sign: str = "") -> str:
        shown = f"{100 * value:{sign}.1f}" if percent else f"{value:{sign}.{DIGITS}g}"
        return "-" if math.isnan(value) else shown

    def between(found: Interval | None, sign: str = "") -> str:
        known = found is not None and not math.isnan(found.low)
        return f"{number(found.low, sign)} to {number(found.high, sign)}" if known and found is not None else "-"

    seeds = ", ".join(str(run.seed) for run in sorted(row.runs, key=lambda run: run.seed))
    less = "-" if row.difference is None else number(row.difference.mean, "+")
    ps = ["-" if math.isnan(p) else f"{p:.3f}" for p in (row.p, row.corrected)]
    mean, difference = cut(row.mean, low, high), cut(row.difference, low - high, high - low)
    name = short_name(row.name)
    return [name, seeds, number(row.mean.mean), between(mean), less, between(difference, "+"), *ps]


def narrow(row: Row, metric: str) -> list[str]:
    """Return a row's cells for a terminal of 80 columns: each interval stands below its mean.

    The seeds are counted, not listed, and only the corrected p is shown.
    """
    name, _, mean, ends, less, difference, _, p = cells(row, metric)
    return [name, str(len(row.runs)), f"{mean}\n{ends}", f"{less}\n{difference}", p]


def remarks(rows: Sequence[Row]) -> list[str]:
    """Return the lines below a table of compared runs: what their seeds cannot show.

    One line stands for each row whose values equal those of the first row in every common seed. The last line gives the
    smallest p-value that the sign-flip test can give with so few pairs of seeds.
    """
    first, found = {run.seed: run.last for run in rows[0].runs}, list[str]()
    numbers = sorted({row.difference.n for row in rows if row.difference is not None})
    for row in rows[1:]:
        pairs = [(run.last, first[run.seed]) for run in row.runs if run.seed in first]
        if pairs and all(own == other for own, other in pairs):
            names = f"{short_name(row.name)} and {short_name(rows[0].name)}"
            found.append(f"{names}: no value differs in any seed: too few steps or seeds to tell")
    least = [f"{least_p(n):.3g} with {n} pair{'s' * (n != 1)} of seeds" for n in numbers]
    return [*found, *([f"the least p that can come out: {', '.join(least)}"] if least else [])]


def page(rows: Sequence[Row], lost: Mapping[str, str], metric: str) -> str:
    """Return the page in Markdown. lost: {folder: why its run is left out}."""
    head = [column.format(short_name(rows[0].name)) for column in COLUMNS]
    table = markdown.table(head, [cells(row, metric) for row in rows], left=len(head))
    percent = PERCENT.search(metric)
    unit = ", in %" if percent else ""
    text = f"# {metric}{unit}, last evaluation\n\n" + table
    text += "\nIntervals: Student's t over seeds. Differences: pairs of runs with the same seed; p by sign flips.\n"
    text += "Intervals of shares are cut at 0 and 100.\n" if percent else ""
    text += "".join(f"\n{line[0].upper()}{line[1:]}.\n" for line in remarks(rows))
    return text + "".join(f"\nLeft out: `{name}`: {reason}\n" for name, reason in lost.items())


def figure(rows: Sequence[Row], metric: str, file: Path) -> None:
    """Draw learning curves into the PNG `file`: for each row the mean over seeds, at the steps that all its runs have.

    Two seeds or more get a band of the 95% interval, limited to the metric's possible values.
    """
    (least, most), scale = bounds(metric), 100.0 if PERCENT.search(metric) else 1.0
    drawing = Figure(figsize=(8, 4.5), layout="constrained")
    axes = drawing.subplots()
    for n, row in enumerate(rows):
        steps = sorted(set.intersection(*(set(run.values) for run in row.runs)))
        found = [interval([scale * run.values[step] for run in row.runs]) for step in steps]
        look = style(n)
        axes.plot(steps, [f.mean for f in found], label=f"{short_name(row.name)} (n={len(row.runs)})", **look)
        if len(row.runs) > 1:
            ends = [cut(f, scale * least, scale * most) for f in found]
            low, high = [f.low for f in ends if f], [f.high for f in ends if f]
            axes.fill_between(steps, low, high, color=look["color"], alpha=0.12, linewidth=0)
    dress(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("step", color=LIGHT.ink, fontsize=9)
    axes.set_ylabel(metric + (", %" if scale > 1 else ""), color=LIGHT.ink, fontsize=9)
    axes.legend(fontsize=9, frameon=False, labelcolor=LIGHT.ink)
    FigureCanvasAgg(drawing).print_png(str(file))


def facts(rows: Sequence[Row], lost: Mapping[str, str], metric: str) -> dict[str, Any]:
    """Return the content of compare.json. Values are in the metric's own unit; NaN becomes None.

    lost: {folder: why its run is left out}.
    """

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
    """Compare the runs below `folder`: write page, JSON and figure into `output`, print the table, return its rows.

    baseline: an override or name of the row to compare with; None: the first row. UserError where no run can be
    compared, or where no row, or more than one, has this baseline.
    """
    runs, lost = read_all(folder, metric)
    rows, name = make_rows(runs, baseline), stem(metric)
    output.mkdir(parents=True, exist_ok=True)
    (output / f"{name}.md").write_text(page(rows, lost, metric))
    (output / f"{name}.json").write_text(json.dumps(facts(rows, lost, metric), indent=1) + "\n")
    figure(rows, metric, output / f"{name}.png")
    show(rows, lost, metric)
    return rows


def show(rows: Sequence[Row], lost: Mapping[str, str], metric: str) -> None:
    """Print the table of the rows in the terminal, and below it the remarks and the runs that are left out.

    Where a name is longer than NARROW, the rows are numbered and the names are listed above the table.
    """
    unit, console = ", %" if PERCENT.search(metric) else "", Console()
    lines = [narrow(row, metric) for row in rows]
    minus = short_name(rows[0].name)
    if any(len(name) > NARROW for name, *_ in lines):
        for number, line in enumerate(lines, start=1):
            console.print(f"{number}  {line[0]}", markup=False, highlight=False, soft_wrap=True)
            line[0] = str(number)
        minus = "1"
    table = Table(box=SIMPLE_HEAD, title=escape(f"{metric}{unit} (95% intervals below)"))
    table.add_column("runs", no_wrap=True)
    for name in ("seeds", "mean", f"minus {minus}", "p (Holm)"):
        table.add_column(escape(name), justify="right", overflow="fold")
    for line in lines:
        table.add_row(*map(escape, line))
    console.print(table)
    for text in [*remarks(rows), *(f"left out: {name}: {reason}" for name, reason in lost.items())]:
        console.print(text, markup=False, highlight=False)
