"""The resolution step of scripts/reproduce.py: kept weights at few and many visual tokens and frames.

Each point is an evaluation of its own (evaluate.py, as scripts/ablation.py makes them) on the questions that the
runs evaluated themselves on, in <output>/resolution/<row>_seed_<s>/<axis>_<value>. What is there is read, not made.
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
"""Visual tokens a picture and frames a clip, at most; the runs were trained on 16 and 8."""
SOURCE = "benchmark.tasks.visual_search.source"
KNOBS = ("seed", "grid", "clip_grid", "frames", "distractors", "clip_share", "free_form_share")
"""What decides the questions, beside the size of the split."""


@dataclass(frozen=True)
class Point:
    """One evaluation: of a row's run, at a value of an axis."""

    row: str
    run: Run
    axis: str
    value: int
    folder: Path


def questions(run: Path) -> list[str]:
    """Return the settings of evaluate.py that ask what a run evaluated itself on, worded and decoded as in training."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    data, source = config["dataset"], config["dataset"]["source"]
    sizes = ", ".join(f"{split}: {source['sizes'][split]}" for split in ("validation", "test"))
    knobs = [f"{SOURCE}.{name}={source[name]}" for name in KNOBS]
    path = ["benchmark=visual_search", f"benchmark.path={data['path']}", f"{SOURCE}.sizes={{{sizes}}}"]
    return [*path, *knobs, f"limit={config['eval']['prompts']}", f"batch={config['eval']['batch']}", "threads=1"]


def points(runs: Mapping[str, Mapping[int, Run]], output: Path) -> list[Point]:
    """Return every evaluation of the runs whose weights were kept."""
    return [
        Point(row, run, axis, value, output / "resolution" / f"{row}_seed_{seed}" / f"{axis}_{value}")
        for row in ROWS
        for seed, run in runs.get(row, {}).items()
        for axis, values in AXES.items()
        for value in values
    ]


def fresh(point: Point) -> bool:
    """Tell whether the evaluation is done, and of these weights."""
    summary, marker = point.folder / "summary.json", point.run.folder / DONE
    return summary.is_file() and summary.stat().st_mtime >= marker.stat().st_mtime


def make(point: Point) -> str | None:
    """Make one evaluation from the beginning; return what went wrong, if anything."""
    shutil.rmtree(point.folder, ignore_errors=True)
    settings = [*settings_of(point.axis, point.value), *questions(point.run.folder)]
    try:
        evaluate(str(point.run.folder / "hf"), point.folder, settings)
    except UserError as error:
        return str(error)
    return None


def missing(wanted: Sequence[Point]) -> list[str]:
    """Return a line for each run with evaluations that are not there, and why."""
    absent: dict[tuple[str, int, bool], list[str]] = {}
    for point in (p for p in wanted if not fresh(p)):
        key = (point.row, point.run.seed, has_weights(point))
        absent.setdefault(key, []).append(f"{point.axis} {point.value}")
    return [
        f"resolution: {row}, seed {seed}: not evaluated at {', '.join(at)}" + ("" if there else ": its hf/ is missing")
        for (row, seed, there), at in absent.items()
    ]


def has_weights(point: Point) -> bool:
    """Tell whether the run's weights were kept."""
    return (point.run.folder / "hf").is_dir()


def make_all(wanted: Sequence[Point], processes: int) -> list[str]:
    """Make the missing evaluations, `processes` at once; return what went wrong."""
    todo = [p for p in wanted if not fresh(p) and has_weights(p)]
    print(f"{len(wanted)} evaluations at other resolutions, {len(wanted) - len(todo)} done", flush=True)
    pool = ThreadPoolExecutor(processes)
    try:
        return [problem for problem in pool.map(make, todo) if problem]
    finally:
        pool.shutdown(cancel_futures=True)


def read(wanted: Sequence[Point], axis: str) -> Resolution:
    """Return the finished evaluations of an axis."""
    found: dict[str, dict[int, dict[int, float]]] = {}
    for point in (p for p in wanted if p.axis == axis and fresh(p)):
        accuracy = json.loads((point.folder / "summary.json").read_text())["accuracy"]
        found.setdefault(point.row, {}).setdefault(point.run.seed, {})[point.value] = float(accuracy)
    return found
