"""The resolution step of scripts/reproduce.py: trained models evaluated at few and many visual tokens and frames.

Each point is an evaluation (evaluate.py, as scripts/ablation.py runs it) on the questions of the runs' own evaluations,
in <output>/resolution/<row>_seed_<s>/<axis>_<value>. A finished evaluation is read, not run again.
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
"""{axis: limits to evaluate at}: visual tokens of an image, frames of a video; the runs were trained with 16 and 8."""
SOURCE = "benchmark.tasks.visual_search.source"
KNOBS = ("seed", "grid", "clip_grid", "frames", "distractors", "clip_share", "free_form_share")
"""Settings of the source that decide the questions, beside the sizes of the splits."""


@dataclass(frozen=True)
class Point:
    """One evaluation: the weights of `run` with at most `value` tokens or frames, by `axis`.

    row: label of the run's row. folder: where the evaluation's results are.
    """

    row: str
    run: Run
    axis: str
    value: int
    folder: Path


def questions(run: Path) -> list[str]:
    """Return the settings with which evaluate.py asks the same questions as a run's own evaluation.

    run: folder of the run.
    """
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
    """Tell whether a point's evaluation is finished and not older than the run's weights."""
    summary, marker = point.folder / "summary.json", point.run.folder / DONE
    return summary.is_file() and summary.stat().st_mtime >= marker.stat().st_mtime


def make(point: Point) -> str | None:
    """Run one evaluation anew, without the files of an earlier one; return its error, or None where it succeeded."""
    shutil.rmtree(point.folder, ignore_errors=True)
    settings = [*settings_of(point.axis, point.value), *questions(point.run.folder)]
    try:
        evaluate(str(point.run.folder / "hf"), point.folder, settings)
    except UserError as error:
        return str(error)
    return None


def missing(wanted: Sequence[Point]) -> list[str]:
    """Return a line for each run with evaluations that are missing or older than its weights.

    The line names the values on the axes, and says so where the run's folder hf/ is missing.
    """
    absent: dict[tuple[str, int, bool], list[str]] = {}
    for point in (p for p in wanted if not fresh(p)):
        key = (point.row, point.run.seed, has_weights(point))
        absent.setdefault(key, []).append(f"{point.axis} {point.value}")
    return [
        f"resolution: {row}, seed {seed}: not evaluated at {', '.join(at)}" + ("" if there else ": its hf/ is missing")
        for (row, seed, there), at in absent.items()
    ]


def has_weights(point: Point) -> bool:
    """Tell whether the folder hf/ of the point's run exists."""
    return (point.run.folder / "hf").is_dir()


def make_all(wanted: Sequence[Point], processes: int) -> list[str]:
    """Run the evaluations that are missing and whose weights exist, `processes` at once; return their errors."""
    todo = [p for p in wanted if not fresh(p) and has_weights(p)]
    print(f"{len(wanted)} evaluations at other resolutions, {len(wanted) - len(todo)} done", flush=True)
    pool = ThreadPoolExecutor(processes)
    try:
        return [problem for problem in pool.map(make, todo) if problem]
    finally:
        pool.shutdown(cancel_futures=True)


def read(wanted: Sequence[Point], axis: str) -> Resolution:
    """Return {row: {seed: {value: accuracy in [0, 1]}}} of the finished evaluations along one axis."""
    found: dict[str, dict[int, dict[int, float]]] = {}
    for point in (p for p in wanted if p.axis == axis and fresh(p)):
        accuracy = json.loads((point.folder / "summary.json").read_text())["accuracy"]
        found.setdefault(point.row, {}).setdefault(point.run.seed, {})[point.value] = float(accuracy)
    return found
