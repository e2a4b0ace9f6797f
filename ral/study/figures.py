"""Figures of `scripts/reproduce.py`, each made by a function from results. Only matplotlib's objects, no pyplot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ral.report.curves import LIGHT, dress
from ral.study.claims import Resolution
from ral.study.facts import thinks
from ral.study.plan import MAIN
from ral.study.results import (
    ACCURACY,
    LAYER,
    RowResult,
    Run,
    TableResult,
    along,
    by_type,
    metric_names,
    paired,
    values,
)
from ral.study.statistics import interval

DPI = 130  # pixels an inch
COLOURS = (
    *LIGHT.lines,
    "#8a4fa3",
    "#b8860b",
    "#2a9d9d",
    "#c0395b",
    "#5b6470",
    "#7a9a01",
    "#8c564b",
    "#1b1b1b",
    "#d17fb5",
)
MARKS = "os^vDPX<>ph"
GREY = "#9aa3ad"
DARK = 0.65  # share of the strongest colour from which on letters are white
ROOM = 4  # points beyond the highest and lowest run of learning curves
BASE_ZERO = "base_zero"  # label of the row of the shipped model asked not to think
SPREAD = 0.28  # of the dots of a row, in rows


def colour(n: int) -> str:
    """Return the colour of row n."""
    return COLOURS[n % len(COLOURS)]


def mark(n: int, label: str) -> dict[str, Any]:
    """Return matplotlib's settings for the dots of row n: hollow where `label` begins with "ral", so that all show."""
    face = "none" if label.startswith("ral") else colour(n)
    return {
        "marker": MARKS[n % len(MARKS)],
        "ls": "",
        "color": colour(n),
        "mfc": face,
        "ms": 5,
        "mew": 1.1,
        "alpha": 0.8,
    }


def new(width: float, height: float) -> Figure:
    """Return an empty figure of the given width and height, in inches."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def start_of(row: RowResult, result: TableResult, base: Run | None) -> Run | None:
    """Return the shipped model's run with prompts like the row's, thinking or not; None where it is not done.

    base: the shipped model's run with thinking.
    """
    if thinks(next(iter(row.runs.values()))):
        return base
    zero = result.row(BASE_ZERO)
    return None if zero is None else next(iter(zero.runs.values()))


def curve(row: RowResult, base: Run | None) -> tuple[list[int], np.ndarray]:
    """Return the evaluated steps that all runs of a row share, and its accuracy in percent [3, steps].

    The three are the mean and the lower and upper end of the interval. base: the shipped model's run, for the value at
    step 0; None: no step 0.
    """
    steps = sorted(set.intersection(*(set(run.evaluations) for run in row.runs.values())))
    found = [interval([100 * run.evaluations[step][ACCURACY] for run in row.runs.values()]) for step in steps]
    lines = np.array([[f.mean for f in found], [f.low for f in found], [f.high for f in found]])
    if base is None:
        return steps, lines
    start = np.full((3, 1), 100 * base.last[ACCURACY])
    return [0, *steps], np.concatenate([start, lines], axis=1)


def curves(result: TableResult, base: Run | None) -> Figure:
    """Return a figure of learning curves: a panel for each row of `result`, its mean accuracy with the 95% band.

    A dashed line is the mean of the row's baseline. base: the shipped model's run with thinking, for the values at step
    0 (rows without thinking take these from the row BASE_ZERO); None: no step 0. Rows with fewer than two evaluations
    get no panel. Axes end near the values of single runs, so that bands of few runs may leave the panel.
    """
    rows = [row for row in result.full if len(next(iter(row.runs.values())).evaluations) > 1]
    across, place = min(5, len(rows)) or 1, {row.row.label: n for n, row in enumerate(result.full)}
    down = math.ceil(len(rows) / across) or 1
    figure = new(2.6 * across, 2.1 * down)
    grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[len(rows) :]:
        axes.set_visible(False)
    reached = [100 * at[ACCURACY] for row in rows for run in row.runs.values() for at in run.evaluations.values()]
    for axes, row in zip(grid.flat, rows, strict=False):
        n = place[row.row.label]
        other = result.row(row.row.baseline) if row.row.baseline else None
        if other is not None:
            steps, lines = curve(other, start_of(other, result, base))
            axes.plot(steps, lines[0], color=LIGHT.ink, lw=1.2, ls=(0, (3, 2)), zorder=3)
            reached.append(lines[0].min())
        steps, lines = curve(row, start_of(row, result, base))
        axes.plot(steps, lines[0], color=colour(n), lw=1.6, marker="o", ms=3)
        axes.fill_between(steps, lines[1], lines[2], color=colour(n), alpha=0.18, lw=0)
        reached.append(lines[0].min())
        axes.set_title(f"{row.row.label} (n={len(row.runs)})", fontsize=9, color=LIGHT.ink)
        dress(axes)
    for axes in grid.flat[max(len(rows) - across, 0) : len(rows)]:
        axes.tick_params(labelbottom=True)
    if reached:
        grid[0, 0].set_ylim(min(reached) - ROOM, max(reached) + ROOM)
    figure.supxlabel("step", fontsize=9, color=LIGHT.ink)
    figure.supylabel("accuracy, %", fontsize=9, color=LIGHT.ink)
    return figure


def finals(result: TableResult) -> Figure:
    """Return a figure with a line for each row: its runs' last accuracies as dots, mean and 95% interval in black."""
    rows = result.full
    figure = new(6.4, 0.9 + 0.36 * len(rows))
    axes = figure.subplots()
    for n, row in enumerate(rows):
        found = 100 * np.array(list(values(row.runs).values()))
        places = n + np.linspace(-SPREAD, SPREAD, len(found)) if len(found) > 1 else np.array([n])
        axes.plot(found, places, "o", color=colour(n), ms=4, alpha=0.6)
        mean = interval(list(found))
        if math.isfinite(mean.low):
            axes.plot([mean.low, mean.high], [n, n], color="black", lw=1.2)
        axes.plot([mean.mean], [n], "|", color="black", ms=12, mew=1.6)
    axes.set_yticks(range(len(rows)), [row.row.label for row in rows])
    axes.invert_yaxis()
    dots = [100 * value for row in rows for value in values(row.runs).values()]
    axes.set_xlim(max(min(dots) - ROOM, 0.0), min(max(dots) + ROOM, 100.0))  # intervals of two runs leave the figure
    axes.set_xlabel("accuracy at the end, %", fontsize=9, color=LIGHT.ink)
    dress(axes)
    return figure


def types(result: TableResult) -> Figure:
    """Return a heat map of mean accuracy in percent by row and type; colour is the difference from the first row."""
    metrics, rows = by_type(result), result.full
    means = np.array([[_mean(row, metric) for metric in metrics] for row in rows])
    change = np.nan_to_num(means - means[0])
    reach = max(float(np.abs(change).max()), 1.0)
    figure = new(1.6 + 0.95 * len(metrics), 0.9 + 0.32 * len(rows))
    axes = figure.subplots()
    image = axes.imshow(change, cmap="RdBu", vmin=-reach, vmax=reach, aspect="auto", alpha=0.75)
    for (n, k), value in np.ndenumerate(means):
        ink = "white" if abs(change[n, k]) > DARK * reach else "black"
        axes.text(k, n, f"{value:.1f}", ha="center", va="center", fontsize=8, color=ink)
    axes.set_xticks(range(len(metrics)), list(metrics.values()), fontsize=8, rotation=20, ha="right")
    axes.set_yticks(range(len(rows)), [row.row.label for row in rows], fontsize=8)
    bar = figure.colorbar(image, ax=axes)
    bar.set_label(f"points above {rows[0].row.label}", fontsize=8, color=LIGHT.ink)
    bar.ax.tick_params(labelsize=8)
    return figure


def _mean(row: RowResult, metric: str) -> float:
    found = list(values(row.runs, metric).values())
    return 100 * sum(found) / len(found) if found else math.nan


def layers(result: TableResult) -> Figure:
    """Return a figure with a panel for each decoder layer: a dot for each run, its grounding against its accuracy."""
    metrics = metric_names(result, LAYER)
    figure = new(2.5 * max(len(metrics), 1) + 1.3, 3.2)
    grid = figure.subplots(1, max(len(metrics), 1), sharey=True, squeeze=False)[0]
    for axes, metric in zip(grid, metrics, strict=False):
        for n, row in enumerate(result.full):
            x, y = values(row.runs, metric), values(row.runs)
            dots = [(100 * x[seed], 100 * y[seed]) for seed in x]
            label = row.row.label
            axes.plot(*np.array(dots).reshape(-1, 2).T, **mark(n, label), label=label)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_title(f"layer {metric.removeprefix(LAYER)}", fontsize=9, color=LIGHT.ink)
        dress(axes)
    grid[0].set_ylabel("accuracy, %", fontsize=9, color=LIGHT.ink)
    figure.supxlabel("grounding, %", fontsize=9, color=LIGHT.ink)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8)
    return figure


def against_kl(result: TableResult) -> Figure:
    """Return a figure with a dot for each run: last accuracy against KL to the shipped model in the last steps."""
    figure = new(6.4, 3.6)
    axes = figure.subplots()
    for n, row in enumerate(result.full):
        dots = [(run.kl, 100 * run.last[ACCURACY]) for run in row.runs.values() if math.isfinite(run.kl)]
        axes.plot(*np.array(dots).reshape(-1, 2).T, **mark(n, row.row.label), label=row.row.label)
    axes.set_xlabel("KL to the shipped model in the last steps, nats a token", fontsize=9, color=LIGHT.ink)
    axes.set_ylabel("accuracy, %", fontsize=9, color=LIGHT.ink)
    dress(axes)
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    return figure


def resolution(found: Mapping[str, Resolution], how: str = "at most") -> Figure:
    """Return a figure of the accuracy of RAL less that of GRPO, a panel for each axis.

    A thin line is one seed; on top are mean and 95% interval. found: {axis: {row: {seed: {value: accuracy}}}}. how:
    words that follow the axis's name in its label.
    """
    figure = new(3.2 * len(found), 2.7)
    grid = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for axes, (axis, rows) in zip(grid, found.items(), strict=True):
        ral, grpo = rows.get("ral", {}), rows.get("grpo", {})
        gaps = {seed: paired(ral[seed], grpo[seed]) for seed in ral.keys() & grpo.keys()}
        at = sorted({value for own in gaps.values() for value in own})
        for own in gaps.values():
            axes.plot([at.index(v) for v in own], [100 * g for g in own.values()], color=GREY, lw=0.8)
        means = [interval([100 * own[v] for own in gaps.values() if v in own]) for v in at]
        ends = np.array([[m.mean - m.low for m in means], [m.high - m.mean for m in means]]).reshape(2, -1)
        axes.errorbar(range(len(at)), [m.mean for m in means], yerr=ends, color=colour(0), marker="o", capsize=3)
        axes.axhline(0, color=LIGHT.ink, lw=0.8)
        axes.set_xticks(range(len(at)), [str(v) for v in at])
        axes.set_xlabel(f"{axis}, {how}", fontsize=9, color=LIGHT.ink)
        dress(axes)
    grid[0].set_ylabel("RAL less GRPO, points", fontsize=9, color=LIGHT.ink)
    return figure


def draw(results: Sequence[TableResult], base: Run | None, found: Mapping[str, Resolution]) -> dict[str, Figure]:
    """Return {name: figure} of all figures for which there are runs.

    base: the shipped model's run; None where it is not done. found: {axis: accuracies at other resolutions}.
    """
    figures: dict[str, Figure] = {}
    for result in (r for r in results if r.full):
        if result.table.name == MAIN:
            figures |= {"curves": curves(result, base), "finals": finals(result)}
            figures |= {"types": types(result)} if by_type(result) else {}
            figures |= {"layers": layers(result)} if metric_names(result, LAYER) else {}
        if result.table.kl:
            figures[f"{result.table.name}_kl"] = against_kl(result)
        if result.table.axis:
            figures[f"{result.table.name}_lead"] = resolution(
                {result.table.axis: along(result).found}, "trained on them"
            )
    if any(found.values()):
        figures["resolution"] = resolution(found)
    return figures


def save(figures: Mapping[str, Figure], folder: Path, prefix: str = "") -> dict[str, str]:
    """Write the figures as PNGs into `folder`; return {name: file name}. prefix: beginning of the file names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {name: f"{prefix}{name}.png" for name in figures}
    for name, figure in figures.items():
        figure.savefig(folder / names[name])
    return names
