"""Runs of a sweep gathered into rows of equal overrides: means of a metric over seeds, differences paired by seed."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from ral.errors import UserError
from ral.files import jsonl
from ral.files.run_folder import ERROR
from ral.study.statistics import Interval, holm, interval, sign_flip_p

UNTITLED = "(defaults)"
NOT_ITS_KIND = ("seed=", "hydra.", "hydra/", "name=", "resume=")
"""Beginnings of the overrides in which runs of one row may differ."""
PARTS = 2
"""Number of last parts of a dotted key that a row's short name keeps."""


@dataclass(frozen=True)
class Run:
    """One finished run.

    own: its overrides but those in NOT_ITS_KIND. values: {step: value of the metric}. name: the name of its row, made
    of the overrides that not all compared runs share.
    """

    folder: Path
    own: tuple[str, ...]
    seed: int
    values: Mapping[int, float]
    name: str = UNTITLED

    @property
    def last(self) -> float:
        """Return the value at the last step that has one."""
        return self.values[max(self.values)]


@dataclass
class Row:
    """The runs whose overrides are equal, apart from the seed.

    mean: mean of the runs' last values, with its interval. difference: mean difference from the baseline over common
    seeds; None for the baseline itself, and without common seeds. p: sign-flip p of that difference. corrected: p after
    Holm's correction. Both are NaN where `difference` is None.
    """

    name: str
    runs: list[Run]
    mean: Interval
    difference: Interval | None = None
    p: float = math.nan
    corrected: float = math.nan


def read_run(folder: Path, metric: str) -> Run | str:
    """Return the run in a folder, or a line that says why it cannot be compared.

    It cannot where it failed, is not finished, or has no value of `metric` in metrics.jsonl.
    """
    overrides = folder / ".hydra" / "overrides.yaml"
    given = yaml.safe_load(overrides.read_text()) if overrides.is_file() else []
    config = yaml.safe_load((folder / "config.yaml").read_text()) if (folder / "config.yaml").is_file() else {}
    if (folder / ERROR).is_file():
        return (folder / ERROR).read_text().strip().splitlines()[-1]
    lines = jsonl.readable(folder / "metrics.jsonl")
    values = {int(line["step"]): float(line[metric]) for line in lines if metric in line}
    if not values:
        known = {name for line in lines for name, value in line.items() if isinstance(value, int | float)}
        return f"no {metric} in metrics.jsonl{near(metric, known)}" if lines else "it has no metrics.jsonl"
    steps = config.get("max_steps")
    if steps is not None and max(values) < steps:
        return f"it is not finished: its last evaluation is that of step {max(values)} of {steps}"
    own = sorted(str(o) for o in given or [] if not str(o).startswith(NOT_ITS_KIND))
    return Run(folder, tuple(own), int(config.get("seed", 0)), values)


def near(metric: str, known: Collection[str]) -> str:
    """Return a hint such as "; did you mean x?" with up to three known names like `metric`; "" where there is none."""
    begun = sorted(name for name in known if name.startswith(metric))
    close = list(dict.fromkeys([*begun, *difflib.get_close_matches(metric, sorted(known))]))
    return f"; did you mean {' or '.join(close[:3])}?" if close else ""


def read_all(folder: Path, metric: str) -> tuple[list[Run], dict[str, str]]:
    """Return the runs in the folders directly below `folder`, and {folder: why it cannot be compared} of the others.

    Of runs with the same settings and seed the newest is kept. UserError where no run can be compared.
    """
    begun = {path.parents[1] for path in folder.glob("*/.hydra/overrides.yaml")}
    folders = sorted(begun | {path.parent for path in folder.glob("*/metrics.jsonl")})
    if not folders:
        raise UserError(f"{folder}: holds no runs; write the folder of a sweep, as outputs/<date>/<time>-sweep")
    found = {run.name: read_run(run, metric) for run in folders}
    runs = [run for run in found.values() if isinstance(run, Run)]
    lost = {name: run for name, run in found.items() if isinstance(run, str)}
    runs, repeated = newest(runs)
    lost |= repeated
    if not runs:
        raise UserError(f"{folder}: no run can be compared; the first, {next(iter(lost))}: {next(iter(lost.values()))}")
    return named(runs), lost


def named(runs: Sequence[Run]) -> list[Run]:
    """Return the runs, each with the name of its row filled in."""
    kinds = {run.own for run in runs}
    common = set.intersection(*map(set, kinds)) if len(kinds) > 1 else set()
    return [replace(run, name=" ".join(o for o in run.own if o not in common) or UNTITLED) for run in runs]


def newest(runs: Sequence[Run]) -> tuple[list[Run], dict[str, str]]:
    """Return the runs without older ones of the same settings and seed, and {folder: reason} of those left out."""
    kept: dict[tuple[tuple[str, ...], int], Run] = {}
    lost: dict[str, str] = {}
    for run in sorted(runs, key=lambda run: (run.folder / "metrics.jsonl").stat().st_mtime):
        if (before := kept.pop((run.own, run.seed), None)) is not None:
            lost[before.folder.name] = f"{run.folder.name} is the same run again, and newer"
        kept[run.own, run.seed] = run
    return [run for run in runs if kept[run.own, run.seed] is run], lost


def spellings(run: Run) -> set[str]:
    """Return the texts by which --baseline may name a run's row: its overrides, its name, and their short forms."""
    whole = {*run.own, run.name}
    return whole | {short_name(name) for name in whole}


def make_rows(runs: Sequence[Run], baseline: str | None) -> list[Row]:
    """Return a row for each set of overrides, the baseline first, with differences and corrected p-values.

    baseline: one of a row's `spellings`; None: the first row. UserError where no row, or more than one, has this
    baseline.
    """
    names = list(dict.fromkeys(run.name for run in runs))
    fitting = {run.name for run in runs if baseline is None or baseline in spellings(run)}
    chosen = [name for name in names if name in fitting]
    listed = ", ".join(repr(name) for name in names)
    if not chosen:
        raise UserError(f"--baseline {baseline}: no such runs; write one of {listed}")
    if baseline is not None and len(chosen) > 1:
        raise UserError(
            f"--baseline {baseline}: {len(chosen)} kinds of runs have it; write the whole of one of {listed}"
        )
    ordered = [chosen[0], *(name for name in names if name != chosen[0])]
    of = {name: [run for run in runs if run.name == name] for name in ordered}
    rows = [Row(name, of[name], interval([run.last for run in of[name]])) for name in ordered]
    first = {run.seed: run.last for run in rows[0].runs}
    for row in rows[1:]:
        pairs = [run.last - first[run.seed] for run in row.runs if run.seed in first]
        if pairs:
            row.difference, row.p = interval(pairs), sign_flip_p(pairs)
    tested = [row for row in rows if row.difference is not None]
    for row, value in zip(tested, holm([row.p for row in tested]), strict=True):
        row.corrected = value
    return rows


def short_name(name: str) -> str:
    """Return a row's name as tables show it: "algo=ral algo.attention.coef=2" is "RAL attention.coef=2"."""

    def one(override: str) -> str:
        key, equals, value = override.lstrip("+~").partition("=")
        if key == "algo":
            return value.upper().replace("_", "-")
        return f"{'.'.join(key.split('.')[-PARTS:])}{equals}{value}"

    return " ".join(one(override) for override in name.split(" "))
