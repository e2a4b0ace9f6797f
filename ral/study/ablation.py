"""A benchmark evaluated at several numbers of frames or visual tokens, for one or two checkpoints."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ral.data.sizes import TOKEN_PIXELS, MediaSettings
from ral.evaluation.benchmarks import items_file
from ral.files import markdown, repository
from ral.report.curves import LIGHT
from ral.report.summary import Estimate, bootstrap
from ral.types import UserError

VALUES = {"frames": (32, 64, 128), "tokens": (512, 1024, 2048)}
LABELS = {"frames": "frames of a clip, at most", "tokens": "visual tokens of a picture, at most"}
RESAMPLES = 10_000


@dataclass(frozen=True)
class Asked:
    """The settings of one ablation.

    axis: what the ablation varies, "frames" or "tokens". values: the limits to evaluate at, in frames a video or visual
    tokens an image. settings: further settings of evaluate.py, as key=value. output: folder of the evaluations.
    """

    axis: str
    values: Sequence[int]
    settings: Sequence[str]
    output: Path


Points = Mapping[tuple[str, int], Estimate]
"""{(name of a checkpoint, limit of frames or tokens): accuracy in [0, 1] with its interval}"""


def settings_of(axis: str, value: int) -> list[str]:
    """Return the settings of evaluate.py that limit a medium to `value` frames or visual tokens.

    axis: "frames" limits videos, "tokens" limits images. The least size of an image is lowered where it is above the
    limit.
    """
    if axis == "frames":
        return [f"media.max_frames={value}"]
    most = value * TOKEN_PIXELS
    return [f"media.image_max_pixels={most}", f"media.image_min_pixels={min(most, MediaSettings.image_min_pixels)}"]


def evaluate(checkpoint: str, output: Path, settings: Sequence[str]) -> np.ndarray:
    """Run evaluate.py, or finish an interrupted evaluation, and return the score of each question [n].

    The score is 0 for a question that could not be asked. checkpoint, output, settings: arguments of evaluate.py.
    UserError where it fails; its own error is printed above.
    """
    command = [sys.executable, str(repository.EVALUATE), f"checkpoint={checkpoint}", f"output={output}", *settings]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=None, text=True)
    if done.returncode:
        raise UserError(f"{output}: the evaluation stopped with exit code {done.returncode}; its error stands above")
    count = json.loads((output / "summary.json").read_text())["n"]
    scores = {item.index: item.score for item in items_file.read(output / "items.jsonl")}
    return np.array([scores.get(index, 0.0) for index in range(count)])  # 0: could not be asked


def measure(asked: Asked, names: Mapping[str, str]) -> tuple[Points, dict[int, Estimate]]:
    """Return {(name, value): accuracy}, and {value: gain of the second checkpoint over the first}; print each accuracy.

    names: {name of a checkpoint: its folder or hub id}, one or two. The gains are paired by question; {} for one
    checkpoint. UserError where an evaluation fails.
    """
    points: dict[tuple[str, int], Estimate] = {}
    changes: dict[int, Estimate] = {}
    for value in asked.values:
        settings = [*settings_of(asked.axis, value), *asked.settings]
        columns = []
        for name, checkpoint in names.items():
            columns.append(evaluate(checkpoint, asked.output / f"{name}-{value}", settings))
            (points[name, value],) = bootstrap(columns[-1][:, None], RESAMPLES)
            print(f"{name} at {value} {asked.axis}: {_figure(points[name, value])}", flush=True)
        if len(columns) == 2:
            (changes[value],) = bootstrap((columns[1] - columns[0])[:, None], RESAMPLES)
    return points, changes


def table(asked: Asked, names: Sequence[str], points: Points, changes: Mapping[int, Estimate]) -> str:
    """Return a Markdown table of accuracies in percent, with a column for each value.

    It has a row for each checkpoint, and one for their difference unless `changes` is empty.
    """
    rows = [[name, *(_figure(points[name, v]) for v in asked.values)] for name in names]
    if changes:
        rows.append([f"{names[1]} - {names[0]}", *(_figure(changes[v]) for v in asked.values)])
    return markdown.table([asked.axis, *asked.values], rows, left=1 + len(asked.values))


def _figure(estimate: Estimate) -> str:
    return f"{100 * estimate.mean:.1f} ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"


def draw(path: Path, asked: Asked, names: Sequence[str], points: Points) -> None:
    """Draw accuracy in percent over the values into a PNG: a line with intervals for each checkpoint."""
    figure = Figure(figsize=(5, 3.2), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    places = np.arange(len(asked.values))
    for shift, name in enumerate(names):
        line = [points[name, v] for v in asked.values]
        means = 100 * np.array([e.mean for e in line])
        ends = abs(100 * np.array([[e.low for e in line], [e.high for e in line]]) - means)
        x = places + 0.06 * (shift - (len(names) - 1) / 2)
        axes.errorbar(x, means, yerr=ends, marker="o", capsize=3, label=name, color=LIGHT.lines[shift])
    axes.set_xticks(places, [str(v) for v in asked.values])
    axes.set_xlabel(LABELS[asked.axis])
    axes.set_ylabel("accuracy, %")
    axes.grid(axis="y", color=LIGHT.grid)
    axes.legend(frameon=False, ncols=len(names), loc="lower right", bbox_to_anchor=(1, 1))
    figure.savefig(path)
