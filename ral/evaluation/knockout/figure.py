"""The figure of a knockout: accuracies under each cut, and by layer where single sets of layers were cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ral.evaluation.knockout.conditions import ALL, KEYS, PARTS
from ral.evaluation.knockout.results import Results, Share

DPI = 160  # pixels an inch
HEIGHT, WIDTH, WIDTH_OF_A_SET = 3.2, 4.6, 0.45  # inches
COLOURS = dict(zip(KEYS, ("#c2571a", "#3d8b57", "#2563a8"), strict=True))
MARKS = dict(zip(PARTS, "osD", strict=True))
GREY, GRID = "#5b6470", "#e4e7eb"
BARS = 0.26  # width of a bar, in groups


def draw(path: Path, results: Results) -> None:
    """Draw a knockout's accuracies into a PNG."""
    sets = [where for where in results if where != ALL]
    wide = 2.2 + WIDTH_OF_A_SET * len(sets) if sets else 0.0
    figure = Figure(figsize=(WIDTH + wide, HEIGHT), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    ratios = (WIDTH, wide) if sets else (WIDTH,)
    panels: list[Axes] = list(figure.subplots(1, len(ratios), width_ratios=ratios, sharey=True, squeeze=False)[0])
    _bars(panels[0], results)
    if sets:
        _lines(panels[1], results, sets)
    figure.savefig(path)


def _bars(axes: Axes, results: Results) -> None:
    """Draw all layers: a group for each part, a bar for each kind of keys."""
    whole = results[ALL]
    for shift, key in enumerate(KEYS):
        there = [(n, whole[f"{key}_from_{part}"]) for n, part in enumerate(PARTS) if f"{key}_from_{part}" in whole]
        if there:
            places, shares = np.array([n for n, _ in there]), [share for _, share in there]
            heights = [share.mean for share in shares]
            axes.bar(places + BARS * (shift - 1), heights, BARS, label=key, color=COLOURS[key], yerr=_ends(shares))
    axes.axhline(whole["none"].mean, color=GREY, lw=1, ls="--", label="nothing cut")
    axes.set_xticks(range(len(PARTS)), [f"cut from {part}" for part in PARTS])
    axes.set_xlim(-0.5, len(PARTS) - 0.5)
    _dress(axes, "all layers")
    axes.set_ylabel("greedy answers right, %")


def _lines(axes: Axes, results: Results, sets: list[str]) -> None:
    """Draw a line for each cut over the sets of layers."""
    for name in results[sets[0]]:
        key, _, part = name.partition("_from_")
        shares = [results[where][name] for where in sets]
        style: dict[str, Any] = {"color": COLOURS[key], "marker": MARKS[part], "ms": 4, "lw": 1, "capsize": 2}
        axes.errorbar(range(len(sets)), [s.mean for s in shares], yerr=_ends(shares), label=name, **style)
    axes.set_xticks(range(len(sets)), sets)
    _dress(axes, "layers that are cut alone")


def _ends(shares: list[Share]) -> np.ndarray:
    """Return the lengths of the intervals below and above, [2 n]; rounding may leave one a hair below zero."""
    return np.array([[s.mean - s.low for s in shares], [s.high - s.mean for s in shares]]).clip(min=0)


def _dress(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=9, color=GREY)
    axes.set_ylim(0, 105)
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)
    axes.legend(frameon=False, fontsize=7)
