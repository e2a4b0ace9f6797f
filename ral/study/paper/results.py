"""Numbers of the table: the measurement of each row and benchmark, with its interval, beside the paper's."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ral.evaluation.benchmarks import items_file
from ral.evaluation.benchmarks.items import ScoredItem
from ral.evaluation.benchmarks.table import reported
from ral.files.repository import CONF
from ral.report.summary import BOOTSTRAP_SEED
from ral.study.paper.graph import BENCHMARKS, EVALUATE, Graph

RESAMPLES = 1_000
AVERAGED = ("videommmu", "mvbench", "mmmu_pro", "mme", "blink", "cv_bench")
"""Benchmarks whose score is an average of averages, or in points, not the mean over items."""
STRATA = ("subset", "type", "source")
"""Facts of an item that, with its group, decide in which average it counts."""
PAIRED = "picture"
"""Fact that items share which are resampled together: MME's two questions about one image."""


@dataclass(frozen=True)
class Measured:
    """One score in the unit of the paper's table, with the ends of its 95% bootstrap interval over items.

    n: number of items. errors: items that could not be asked. unfinished: responses that the length limit cut.
    """

    value: float
    low: float
    high: float
    n: int
    errors: int
    unfinished: int


@dataclass(frozen=True)
class Line:
    """A row of the table. measured: {benchmark: measurement}. published: {benchmark: the paper's score}.

    published_name: name of the paper's row; None where the paper has no such row, then `published` is empty.
    """

    name: str
    title: str
    measured: Mapping[str, Measured]
    published: Mapping[str, float]
    published_name: str | None


@cache
def published(benchmark: str) -> dict[str, float]:
    """Return {row of the paper: its score} for a benchmark, from the benchmark's file in conf/benchmark."""
    node = yaml.safe_load((CONF / "benchmark" / f"{benchmark}.yaml").read_text(encoding="utf-8"))
    return dict(node["paper"])


def lines_of(graph: Graph) -> list[Line]:
    """Return every row of the table with the scores of its finished evaluations, and the paper's scores."""
    found = []
    for row in graph.rows:
        folder = graph.stage(f"{EVALUATE}_{row.name}").folder
        there = {
            name: measured(folder / name, name) for name in BENCHMARKS if (folder / name / "summary.json").is_file()
        }
        own = {n: published(n)[row.published] for n in BENCHMARKS if row.published in published(n)}
        found.append(Line(row.name, row.title, there, own, row.published))
    return found


def measured(folder: Path, benchmark: str) -> Measured:
    """Return a benchmark's score in the paper's unit, with its 95% interval.

    folder: output of a finished evaluation of the benchmark.
    """
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    counts = {"n": summary["n"], "errors": summary["errors"], "unfinished": summary["unfinished"]}
    if benchmark not in AVERAGED:
        return Measured(summary["reported"], 100 * summary["ci_low"], 100 * summary["ci_high"], **counts)
    records = [item.record() for item in items_file.read(folder / "items.jsonl")]
    low, high = ends(records, import_module(f"ral.evaluation.benchmarks.{benchmark}").summary)
    return Measured(summary["reported"], low, high, **counts)


def ends(
    records: Sequence[ScoredItem], summary: Callable[[Sequence[ScoredItem]], dict[str, float]]
) -> tuple[float, float]:
    """Return the ends (low, high) of the 95% percentile bootstrap interval of a summary's "reported" score.

    summary: the benchmark's function from scored items to scores. Items are resampled within their group and STRATA, so
    that no average loses all of its items; the items of one image are drawn as one.
    """
    strata: dict[tuple[Any, ...], dict[Any, list[ScoredItem]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        stratum = (record.group, *(record.facts.get(fact) for fact in STRATA))
        strata[stratum][record.facts.get(PAIRED, record.uid)].append(record)
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    figures = [
        reported(summary(drawn([list(units.values()) for units in strata.values()], rng))) for _ in range(RESAMPLES)
    ]
    low, high = np.percentile(figures, [2.5, 97.5])
    return float(low), float(high)


def drawn(strata: Sequence[Sequence[Sequence[ScoredItem]]], rng: np.random.Generator) -> list[ScoredItem]:
    """Return the items of as many units as each stratum has, drawn from it with replacement.

    strata: for each stratum its units, and for each unit its items. A unit drawn twice counts as two images.
    """
    found: list[ScoredItem] = []
    for units in strata:
        for n, index in enumerate(rng.integers(len(units), size=len(units))):
            unit = units[index]
            if PAIRED in unit[0].facts:
                unit = [replace(r, facts={**r.facts, PAIRED: f"{n} {r.facts[PAIRED]}"}) for r in unit]
            found += unit
    return found


def facts(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Return the table as plain values, for paper.json."""
    return [asdict(line) for line in lines]
