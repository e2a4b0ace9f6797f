"""The resolution step of scripts/reproduce.py: kept weights evaluated at few and many visual tokens and frames.

Each point is an evaluation (evaluate.py, as scripts/ablation.py runs it) on the questions of the runs' own evaluations,
in <output>/resolution/<row>_seed_<s>/<axis>_<value>. A finished one is read, not run again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

from ral.errors import UserError
from ral.study.ablation import evaluate, settings_of
from ral.study.claims import Resolution
from ral.study.plan import DONE
from ral.study.results import Run

ROWS = ("grpo", "ral")
AXES: Mapping[str, tuple[int, ...]] = {"tokens": (4, 9, 16), "frames": (2, 4, 8)}
"""Most visual tokens of an image, and most frames of a video; the runs were trained on 16 and 8."""
SOURCE = "benchmark.tasks.visual_search.source"
KNOBS = ("seed", "grid", "clip_grid", "frames", "distractors", "clip_share", "free_form_share")
"""Settings of the source that decide the questions, beside the sizes of the splits."""


@dataclass(frozen=True)
class Point:
    """One evaluation: the weights of `run`, one of row `row`, at `value` on `axis`, with its results in `folder`."""

    row: str
    run: Run
    axis: str
    value: int
    folder: Path


def questions(run: Path) -> list[str]:
    """Return the settings of evaluate.py for the questions of a run's own evaluation, with the prompts of training."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    data, source = config["dataset"], config["dataset"]["source"]
    sizes = ", ".join(f"{split}: {source['sizes'][split]}" for split in ("validation", "test"))
    knobs = [f"{SOURCE}.{name}={source[name]}" for name in KNOBS]
    path = ["benchmark=visual_search", f"benchmark.path={data['path']}", f"{SOURCE}.sizes={{{sizes}}}"]
    return [*path, *knobs, f"limit={config['eval']['prompts']}", f"batch={config['eval']['batch']}", "threads=1"]


def points(runs: Mapping[str, Mapping[int, Run]], output: Path) -> list[Point]:
    """Return an evaluation for each run of ROWS and each value of AXES. runs: {row: {seed: run}}."""
    return [
        Point(row, run, axis, value, output / "resolution" / f"{row}_seed_{seed}" / f"{axis}_{value}")
        for row in ROWS
        for seed, run in runs.get(row, {}).items()
        for axis, values in AXES.items()
        for value in values
    ]


def fresh(point: Point) -> bool:
    """Tell whether the evaluation is finished and newer than the run's weights."""
    summary, marker = point.folder / "summary.json", point.run.folder / DONE
    return summary.is_file() and summary.stat().st_mtime >= marker.stat().st_mtime


def make(point: Point) -> str | None:
    """Make one evaluation from its beginning; return its error, None where it succeeded."""
    shutil.rmtree(point.folder, ignore_errors=True)
    settings = [*settings_of(point.axis, point.value), *questions(point.run.folder)]
    try:
        evaluate(str(point.run.folder / "hf"), point.folder, settings)
    except UserError as error:
        return str(error)
    return None


def missing(wanted: Sequence[Point]) -> list[str]:
    """Return a line for each run with evaluations that are not there, and the reason."""
    absent: dict[tuple[str, int, bool], list[str]] = {}
    for point in (p for p in wanted if not fresh(p)):
        key = (point.row, point.run.seed, has_weights(point))
        absent.setdefault(key, []).append(f"{point.axis} {point.value}")
    return [
        f"resolution: {row}, seed {seed}: not evaluated at {', '.join(at)}" + ("" if there else ": its hf/ is missing")
        for (row, seed, there), at in absent.items()
    ]


def has_weights(point: Point) -> bool:
    """Tell whether the run's hf/ is there."""
    return (point.run.folder / "hf").is_dir()


def make_all(wanted: Sequence[Point], processes: int) -> list[str]:
    """Make the missing evaluations of kept weights, `processes` at once; return their errors."""
    todo = [p for p in wanted if not fresh(p) and has_weights(p)]
    print(f"{len(wanted)} evaluations at other resolutions, {len(wanted) - len(todo)} done", flush=True)
    pool = ThreadPoolExecutor(processes)
    try:
        return [problem for problem in pool.map(make, todo) if problem]
    finally:
        pool.shutdown(cancel_futures=True)


def read(wanted: Sequence[Point], axis: str) -> Resolution:
    """Return {row: {seed: {value: accuracy}}} of the finished evaluations of an axis."""
    found: dict[str, dict[int, dict[int, float]]] = {}
    for point in (p for p in wanted if p.axis == axis and fresh(p)):
        accuracy = json.loads((point.folder / "summary.json").read_text())["accuracy"]
        found.setdefault(point.row, {}).setdefault(point.run.seed, {})[point.value] = float(accuracy)
    return found
