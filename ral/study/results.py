"""Statistics of `scripts/reproduce.py`: runs read from their folders, rows with intervals, paired differences.

All metrics are in their own unit here (accuracies 0 to 1); pages and figures multiply. Runs are paired by seed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ral.study.plan import DONE, Row, Table, command_line, is_done, metrics, run_folder, seeds_of
from ral.study.statistics import Interval, holm, interval, sign_flip_p

ACCURACY, GROUNDING, KL = "eval/accuracy", "eval/grounding", "train/kl"
TYPE = f"{ACCURACY}_"
MEDIA = ("image", "video", "text")
"""Media with accuracies of their own, beside problem types; a question counts in its type and in its medium."""
ASKED = {"tokens": f"{ACCURACY}_image", "frames": f"{ACCURACY}_video", "steps": f"{ACCURACY}_image"}
"""Axis of a table -> the accuracy that it is about."""
LAYER = "eval/grounding_layer_"
BASE = ("experiment=base",)
"""Overrides of the row of the shipped model."""
KL_STEPS = 5
"""Number of last steps over which the KL to the reference policy is averaged."""
LEAST_PAIRS = 2
"""Fewest pairs of runs that are tested."""


@dataclass(frozen=True)
class Run:
    """One done cell.

    evaluations: {step: {metric: value}}. kl: mean of the last KL_STEPS steps in nats, NaN where it has no KL. seconds,
    commit: from its DONE file. command: gives the same numbers, in a folder of its own.
    """

    seed: int
    folder: Path
    evaluations: Mapping[int, Mapping[str, float]]
    kl: float
    seconds: float
    commit: str
    command: str

    @property
    def last(self) -> Mapping[str, float]:
        """Return the last evaluation."""
        return self.evaluations[max(self.evaluations)]


@dataclass(frozen=True)
class Compared:
    """Differences by seed: their mean with interval, sign-flip p, and p after Holm's correction (NaN before it)."""

    values: Mapping[int, float]
    mean: Interval
    p: float
    corrected: float = math.nan


@dataclass(frozen=True)
class RowResult:
    """Results of one row of a table: its done runs, by seed, and their statistics.

    asked: number of seeds for which a run is wanted. mean: mean, over runs, of the accuracy in the last evaluation,
    with its interval; None where no run is done. paired: differences from the row's baseline on the same seeds.
    to_base: differences from the shipped model. Both are None where fewer than LEAST_PAIRS runs can be compared.
    """

    row: Row
    runs: Mapping[int, Run]
    asked: int
    mean: Interval | None
    paired: Compared | None = None
    to_base: Compared | None = None


@dataclass(frozen=True)
class TableResult:
    """A table with all of its rows, also those without runs."""

    table: Table
    rows: tuple[RowResult, ...]

    def row(self, label: str) -> RowResult | None:
        """Return the row with a label, None where it is not there or has no run."""
        return next((r for r in self.rows if r.row.label == label and r.runs), None)

    @property
    def full(self) -> list[RowResult]:
        """Return the rows that have a run."""
        return [row for row in self.rows if row.runs]


def read_run(folder: Path, overrides: Sequence[str], seed: int) -> Run:
    """Return the content of a done cell's folder."""
    lines = metrics(folder)
    evaluations = {int(line["step"]): line for line in lines if ACCURACY in line}
    kls = [float(line[KL]) for line in lines if KL in line][-KL_STEPS:]
    facts = json.loads((folder / DONE).read_text())
    kl = sum(kls) / len(kls) if kls else math.nan
    return Run(seed, folder, evaluations, kl, facts["seconds"], facts["commit"], command_line(overrides, seed))


def read_row(row: Row, seeds: Sequence[int], output: Path, experiments: Path) -> dict[int, Run]:
    """Return {seed: run} of the row's done runs among `seeds`. experiments: the folder of experiments' yamls."""
    folders = {seed: run_folder(output, row.overrides, seed) for seed in seeds}
    done = {seed: folder for seed, folder in folders.items() if is_done(folder, row.overrides, experiments)}
    return {seed: read_run(folder, row.overrides, seed) for seed, folder in done.items()}


def done_seeds(row: Row, output: Path, experiments: Path) -> set[int]:
    """Return the seeds of all done runs of a row in the folder, whichever are asked for."""
    folders = run_folder(output, row.overrides, 0).parent.glob("seed_*")
    found = {folder: folder.name.removeprefix("seed_") for folder in folders}
    return {int(seed) for at, seed in found.items() if seed.isdecimal() and is_done(at, row.overrides, experiments)}


def all_seeds(table: Table, asked: Sequence[int] | None, output: Path, experiments: Path) -> tuple[int, ...]:
    """Return the table's own seeds, those asked for, and those done in every row that has runs, sorted."""
    each = [done for row in table.rows if row.own_seeds is None and (done := done_seeds(row, output, experiments))]
    found = {*seeds_of(table, None), *(asked or ()), *(set.intersection(*each) if each else ())}
    return tuple(sorted(seed for seed in found if seed >= table.first_seed))


def values(runs: Mapping[int, Run], metric: str = ACCURACY) -> dict[int, float]:
    """Return {seed: the metric in the last evaluation}, of the runs that have it."""
    return {seed: float(run.last[metric]) for seed, run in runs.items() if metric in run.last}


def paired(one: Mapping[int, float], other: Mapping[int, float]) -> dict[int, float]:
    """Return {seed: one - other} over common seeds."""
    return {seed: one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())}


def less(one: Mapping[int, float], constant: float) -> dict[int, float]:
    """Return {seed: one - constant}."""
    return {seed: value - constant for seed, value in one.items()}


def compared(differences: Mapping[int, float]) -> Compared | None:
    """Return differences with their interval and p; None for fewer than LEAST_PAIRS."""
    found = list(differences.values())
    if len(found) < LEAST_PAIRS:
        return None
    return Compared(dict(differences), interval(found), sign_flip_p(found))


def with_holm(found: Sequence[Compared | None], family: int = 0) -> list[Compared | None]:
    """Return the comparisons with Holm's correction over those that exist.

    family: number of comparisons to correct for, of which missing ones count as p = 1; 0: the number of those that
    exist.
    """
    tested = [c.p for c in found if c is not None]
    corrected = iter(holm([*tested, *[1.0] * (family - len(tested))]))
    return [None if c is None else Compared(c.values, c.mean, c.p, next(corrected)) for c in found]


def base_run(output: Path, experiments: Path) -> Run | None:
    """Return the shipped model's run, None where it is not done. It has no randomness, so one run is enough."""
    folder = run_folder(output, BASE, 0)
    return read_run(folder, BASE, 0) if is_done(folder, BASE, experiments) else None


def analyse(
    table: Table, asked: Sequence[int] | None, output: Path, experiments: Path, base: Run | None
) -> TableResult:
    """Return the results of a table from the done runs below `output`; Holm over its comparisons with baselines.

    asked: seeds; None: the table's. experiments: the folder of experiments' yamls, which say whether a run is done.
    base: the shipped model's run.
    """
    seeds = {row.label: row.seeds(seeds_of(table, asked)) for row in table.rows}
    runs = {row.label: read_row(row, seeds[row.label], output, experiments) for row in table.rows}
    pairs = with_holm([_to_baseline(row, runs) for row in table.rows])
    rows = []
    for row, pair in zip(table.rows, pairs, strict=True):
        own = values(runs[row.label])
        mean = interval(list(own.values())) if own else None
        to_base = None if base is None or row.own_data else compared(less(own, base.last[ACCURACY]))
        rows.append(RowResult(row, runs[row.label], len(seeds[row.label]), mean, pair, to_base))
    return TableResult(table, tuple(rows))


def _to_baseline(row: Row, runs: Mapping[str, Mapping[int, Run]]) -> Compared | None:
    if row.baseline is None or row.baseline not in runs:
        return None
    return compared(paired(values(runs[row.label]), values(runs[row.baseline])))


@dataclass(frozen=True)
class Along:
    """Accuracies of a table with an axis, {method: {seed: {value: accuracy}}}, on the questions that the axis is about.

    ends: the smallest and the largest value of all rows, also of those without runs.
    """

    table: str
    found: Mapping[str, Mapping[int, Mapping[int, float]]]
    ends: tuple[int, int]


def along(result: TableResult) -> Along:
    """Return the accuracies of a table with an axis by method, seed and value."""
    accuracies: dict[str, dict[int, dict[int, float]]] = {}
    places = {row.row.label: row.row.place for row in result.rows}
    for row in result.full:
        method, value = places[row.row.label]
        for seed, accuracy in values(row.runs, ASKED[result.table.axis]).items():
            accuracies.setdefault(method, {}).setdefault(seed, {})[value] = accuracy
    at = [value for _, value in places.values()]
    return Along(result.table.name, accuracies, (min(at), max(at)))


def metric_names(found: TableResult, prefix: str) -> list[str]:
    """Return the metrics of last evaluations that begin with `prefix`, sorted."""
    return sorted({k for row in found.rows for run in row.runs.values() for k in run.last if k.startswith(prefix)})


def by_type(found: TableResult) -> dict[str, str]:
    """Return {metric: title} of accuracies by problem type, then by medium."""
    names = {metric: metric.removeprefix(TYPE) for metric in metric_names(found, TYPE)}
    ordered = sorted(names, key=lambda metric: (names[metric] in MEDIA, metric))
    return {m: f"on {names[m]}" if names[m] in MEDIA else names[m].replace("_", " ") for m in ordered}


def facts(results: Sequence[TableResult]) -> list[dict[str, Any]]:
    """Return the tables as plain values, for results.json; NaN becomes None."""
    return [
        {
            "name": result.table.name,
            "title": result.table.title,
            "rows": [_row_facts(row) for row in result.rows],
        }
        for result in results
    ]


def _row_facts(row: RowResult) -> dict[str, Any]:
    return {
        "label": row.row.label,
        "overrides": list(row.row.overrides),
        "baseline": row.row.baseline,
        "asked": row.asked,
        "runs": [
            {"seed": r.seed, "kl": plain(r.kl), "seconds": r.seconds, "commit": r.commit, "evaluation": evaluation(r)}
            for r in row.runs.values()
        ],
        "mean": ends(row.mean),
        "paired": compared_facts(row.paired),
        "to_base": compared_facts(row.to_base),
    }


def evaluation(run: Run) -> dict[str, float]:
    """Return the metrics of the last evaluation whose names begin with eval/."""
    return {k: v for k, v in run.last.items() if k.startswith("eval/")}


def plain(value: float) -> float | None:
    """Return a number; None for NaN."""
    return None if math.isnan(value) else value


def ends(found: Interval | None) -> dict[str, Any] | None:
    """Return an interval as plain values; None for None."""
    return None if found is None else {k: plain(v) for k, v in vars(found).items()}


def compared_facts(found: Compared | None) -> dict[str, Any] | None:
    """Return a comparison as plain values; None for None."""
    if found is None:
        return None
    by_seed = {str(seed): value for seed, value in found.values.items()}
    return {"by_seed": by_seed, "mean": ends(found.mean), "p": found.p, "p_holm": plain(found.corrected)}
