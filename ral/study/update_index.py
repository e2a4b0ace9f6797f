"""The attention term's share of each update on a rollout: JSD and gradient ratio by the update's number."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

PANELS = {
    "attention_jsd": "JSD to the rollout's attention, nats",
    "attention_gradient_ratio": "gradient norm, attention term / token term",
}
"""Metric -> title of its panel."""


def by_update(lines: list[dict[str, float]], name: str) -> np.ndarray:
    """Return the metric `train/<name>_update_<k>` of each step and update k, [steps, updates].

    lines: content of metrics.jsonl. Steps without the metric are left out. ValueError where steps have different
    numbers of updates.
    """
    pattern = re.compile(rf"train/{name}_update_(\d+)")
    rows = [{int(m[1]): v for k, v in line.items() if (m := pattern.fullmatch(k))} for line in lines]
    return np.array([[row[k] for k in sorted(row)] for row in rows if row])


def draw(tables: dict[str, np.ndarray], path: Path) -> None:
    """Draw one panel for each metric into a PNG: a thin line for each step, the median over steps on top.

    tables: {metric of PANELS: values [steps, updates]}, as `by_update` returns them.
    """
    figure = Figure(figsize=(4.2 * len(tables), 3.0), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    for number, (name, values) in enumerate(tables.items(), start=1):
        axes = figure.add_subplot(1, len(tables), number)
        updates = np.arange(1, values.shape[1] + 1)
        axes.plot(updates, values.T, color="#2563a8", alpha=0.2, lw=0.8)
        axes.plot(updates, np.median(values, axis=0), color="#2563a8", marker="o", lw=2)
        axes.set(xlabel="update on the same rollout", title=PANELS[name], xticks=updates)
        tops = np.sort(values.max(axis=1))
        axes.set_ylim(0, 1.15 * tops[max(len(tops) - 2, 0)])  # one wild step may leave the panel
        axes.title.set_fontsize(9)
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
