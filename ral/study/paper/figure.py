"""The figure of `scripts/paper.py`: GRPO and RAL on every benchmark, in this study and in the paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ral.report.curves import LIGHT
from ral.study.paper.graph import BENCHMARKS
from ral.study.paper.results import Line

ROWS = ("grpo", "ral")
POINTS = {"mme": 28.0}
"""{benchmark whose scores are not in percent: points that are 1% of its maximum}"""
SHIFT = 0.16  # of a row's two dots, in rows


def draw(path: Path, lines: Sequence[Line]) -> bool:
    """Draw the scores of GRPO and RAL on each benchmark, with intervals, and the paper's scores as hollow marks.

    Return False, and write no file, where none of the two rows was measured.
    """
    chosen = [line for line in lines if line.name in ROWS]
    if not any(line.measured for line in chosen):
        return False
    figure = Figure(figsize=(6.4, 5.2), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for number, line in enumerate(chosen):
        colour, shift = LIGHT.lines[number], SHIFT * (2 * number - 1)
        for place, name in enumerate(BENCHMARKS):
            unit, found = POINTS.get(name, 1.0), line.measured.get(name)
            if found is not None:
                axes.plot([found.low / unit, found.high / unit], [place + shift] * 2, color=colour, lw=1.2)
                axes.plot(found.value / unit, place + shift, "o", color=colour, ms=5)
            axes.plot(line.published[name] / unit, place + shift, "o", mfc="none", mec=colour, ms=5)
        axes.plot([], [], "o", color=colour, label=line.title)
        axes.plot([], [], "o", mfc="none", mec=colour, label=f"{line.title}, paper")
    axes.set_yticks(range(len(BENCHMARKS)), BENCHMARKS, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("percent (of MME: of its 2800 points)", fontsize=8)
    axes.grid(axis="x", color=LIGHT.grid)
    axes.legend(frameon=False, fontsize=8, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.08))
    figure.savefig(path)
    return True
