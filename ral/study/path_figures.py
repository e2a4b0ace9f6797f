"""Figures of the table `path`: its teacher's accuracy under a knockout, last accuracies, grounding against accuracy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ral.report.curves import LIGHT, dress
from ral.study.figures import colour, finals, mark, new
from ral.study.path_claims import STEPS, STUDENT
from ral.study.results import TableResult, values

CUTS = {
    "none": "nothing cut",
    "evidence_from_response": "evidence, from response tokens",
    "evidence_from_question": "evidence, from question tokens",
    "placebo_from_response": "as many other cells, from response",
    "placebo_from_question": "as many other cells, from question",
}
"""{key of a knockout's results.json: label of its bar}"""


def path_figures(result: TableResult, knockout: Path) -> dict[str, Figure]:
    """Return {name: figure} of the table's runs, and of the gate's knockout where its results.json exists.

    knockout: path of that file.
    """
    figures = {"path_finals": finals(result), "path_looks": looks(result)}
    if knockout.is_file():
        figures["path_cuts"] = cuts(json.loads(knockout.read_text()))
    return figures


def cuts(found: Mapping[str, Any]) -> Figure:
    """Return a bar chart of accuracy under each condition of a knockout, in percent, with intervals.

    found: content of the knockout's results.json.
    """
    figure = new(6.4, 2.2)
    axes = figure.subplots()
    for n, name in enumerate(CUTS):
        low, high = found["intervals"][name]
        ends = [[max(found[name] - low, 0.0)], [max(high - found[name], 0.0)]]
        axes.barh(n, found[name], xerr=ends, color=colour(0), alpha=0.75, height=0.6, capsize=3)
        axes.text(2, n, f"{found[name]:.0f}", va="center", fontsize=8, color="white" if found[name] > 8 else "black")
    axes.set_yticks(range(len(CUTS)), list(CUTS.values()), fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 103)
    axes.set_xlabel(f"right answers of the teacher, % of {found['n']}", fontsize=9, color=LIGHT.ink)
    dress(axes)
    return figure


def looks(result: TableResult) -> Figure:
    """Return a figure of accuracy against the attention of steps on their own evidence, in the last layer.

    A dot is one run; the student is a cross.
    """
    figure = new(7.4, 4.2)
    axes = figure.subplots()
    for n, row in enumerate(result.full):
        x, y = values(row.runs, STEPS), values(row.runs)
        dots = np.array([(100 * x[seed], 100 * y[seed]) for seed in x]).reshape(-1, 2).T
        style = {"marker": "x", "ls": "", "color": "black", "ms": 9, "mew": 2} if row.row.label == STUDENT else None
        axes.plot(*dots, **(style or mark(n, row.row.label)), label=row.row.label)
    axes.set_xlabel("attention of a step on its own place, last layer, %", fontsize=9, color=LIGHT.ink)
    axes.set_ylabel("accuracy, %", fontsize=9, color=LIGHT.ink)
    dress(axes)
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    return figure
