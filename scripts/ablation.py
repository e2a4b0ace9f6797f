"""A benchmark at several numbers of frames or visual tokens, for one or two checkpoints: one figure and a table.

python scripts/ablation.py --checkpoints GRPO=outputs/grpo/hf RAL=outputs/ral/hf --axis frames --output outputs/frames \
    benchmark=longvideobench benchmark.path=/data/longvideobench template=think
python scripts/ablation.py --checkpoints GRPO=outputs/grpo/hf RAL=outputs/ral/hf --axis tokens --output outputs/tokens \
    benchmark=vstar benchmark.path=/data/vstar template=think

The paper's figure 3: LongVideoBench at 32, 64 and 128 frames, V* at 512, 1024 and 2048 visual tokens of 28 x 28 pixels.
Each point is an evaluation of its own (evaluate.py), in <output>/<name>-<value>; the same command goes on with what
was interrupted. Writes <output>/ablation.png and ablation.md: accuracy and, of two checkpoints, the difference on the
same items, with 95% bootstrap intervals.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ral.data.clips import TOKEN_PIXELS, MediaSettings
from ral.evaluation.benchmarks import records
from ral.report.curves import LIGHT
from ral.report.summary import Estimate, bootstrap
from ral.types import UserError

ROOT = Path(__file__).resolve().parents[1]
VALUES = {"frames": (32, 64, 128), "tokens": (512, 1024, 2048)}
LABELS = {"frames": "frames of a clip, at most", "tokens": "visual tokens of a picture, at most"}
RESAMPLES = 10_000
Points = Mapping[tuple[str, int], Estimate]


def settings_of(axis: str, value: int) -> list[str]:
    """What one value sets."""
    if axis == "frames":
        return [f"media.max_frames={value}"]
    most = value * TOKEN_PIXELS
    return [f"media.image_max_pixels={most}", f"media.image_min_pixels={min(most, MediaSettings.image_min_pixels)}"]


def evaluate(checkpoint: str, output: Path, settings: Sequence[str]) -> np.ndarray:
    """Scores [n] of one evaluation, made or finished first. UserError with its own message where it fails."""
    command = [sys.executable, str(ROOT / "evaluate.py"), f"checkpoint={checkpoint}", f"output={output}", *settings]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=None, text=True)
    if done.returncode:
        raise UserError(f"{output}: the evaluation stopped with exit code {done.returncode}; its error stands above")
    count = json.loads((output / "summary.json").read_text())["n"]
    scores = {item.index: item.score for item in records.read(output / "items.jsonl")}
    return np.array([scores.get(index, 0.0) for index in range(count)])  # 0: could not be asked


def measure(arguments: argparse.Namespace, names: Mapping[str, str]) -> tuple[Points, dict[int, Estimate]]:
    """Accuracy by (name, value), and by value the second checkpoint's accuracy less the first's."""
    points: dict[tuple[str, int], Estimate] = {}
    changes: dict[int, Estimate] = {}
    for value in arguments.values:
        settings = [*settings_of(arguments.axis, value), *arguments.settings]
        columns = []
        for name, checkpoint in names.items():
            columns.append(evaluate(checkpoint, arguments.output / f"{name}-{value}", settings))
            (points[name, value],) = bootstrap(columns[-1][:, None], RESAMPLES)
            print(f"{name} at {value} {arguments.axis}: {_figure(points[name, value])}", flush=True)
        if len(columns) == 2:
            (changes[value],) = bootstrap((columns[1] - columns[0])[:, None], RESAMPLES)
    return points, changes


def table(arguments: argparse.Namespace, names: Sequence[str], points: Points, changes: Mapping[int, Estimate]) -> str:
    """A markdown table: a row for each checkpoint, a column for each value."""
    rows = [[arguments.axis, *map(str, arguments.values)], ["---"] * (1 + len(arguments.values))]
    rows += [[name, *(_figure(points[name, v]) for v in arguments.values)] for name in names]
    if changes:
        rows.append([f"{names[1]} - {names[0]}", *(_figure(changes[v]) for v in arguments.values)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _figure(estimate: Estimate) -> str:
    return f"{100 * estimate.mean:.1f} ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"


def draw(path: Path, arguments: argparse.Namespace, names: Sequence[str], points: Points) -> None:
    """Accuracy over the values, a line for each checkpoint, with its intervals."""
    figure = Figure(figsize=(5, 3.2), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    places = np.arange(len(arguments.values))
    for shift, name in enumerate(names):
        line = [points[name, v] for v in arguments.values]
        means = 100 * np.array([e.mean for e in line])
        ends = abs(100 * np.array([[e.low for e in line], [e.high for e in line]]) - means)
        x = places + 0.06 * (shift - (len(names) - 1) / 2)
        axes.errorbar(x, means, yerr=ends, marker="o", capsize=3, label=name, color=LIGHT.lines[shift])
    axes.set_xticks(places, [str(v) for v in arguments.values])
    axes.set_xlabel(LABELS[arguments.axis])
    axes.set_ylabel("accuracy, %")
    axes.grid(axis="y", color=LIGHT.grid)
    axes.legend(frameon=False)
    figure.savefig(path)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoints", nargs="+", required=True, metavar="NAME=FOLDER", help="one or two")
    parser.add_argument("--axis", choices=list(VALUES), required=True, help="what is varied")
    parser.add_argument("--values", type=int, nargs="+", help="default: the paper's, 32 64 128 or 512 1024 2048")
    parser.add_argument("--output", type=Path, required=True, help="folder of the figure, the table and evaluations")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="for evaluate.py: benchmark=..., template=...")
    found = parser.parse_intermixed_args(arguments)
    found.values = found.values or VALUES[found.axis]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 with the figure as the last line, or 1 with one line on stderr."""
    found = parse(arguments)
    names = dict(pair.partition("=")[::2] for pair in found.checkpoints)
    try:
        if len(names) > 2 or not all(names.values()):
            raise UserError("--checkpoints takes one or two NAME=FOLDER, and names that differ")
        points, changes = measure(found, names)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    text = table(found, list(names), points, changes)
    (found.output / "ablation.md").write_text(text, encoding="utf-8")
    draw(found.output / "ablation.png", found, list(names), points)
    print(f"{text}figure: {found.output / 'ablation.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
