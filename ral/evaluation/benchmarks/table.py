"""Results of benchmarks as a Markdown table, beside the rows of the paper's table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ral.files import markdown


@dataclass(frozen=True)
class Result:
    """Result of one benchmark.

    reported: the figure that its authors report, in the unit of the paper's table (percent; MME points). accuracy, low,
    high: mean score of the n items and its 95% interval, in [0, 1]. whole: number of items in the benchmark. paper:
    {row of the paper's table: figure}. looks: {measure of attention on the evidence: {"mean", "ci_low", "ci_high",
    "n"}}, in [0, 1].
    """

    name: str
    reported: float
    accuracy: float
    low: float
    high: float
    n: int
    whole: int
    paper: Mapping[str, float]
    looks: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def reported(metrics: Mapping[str, float]) -> float:
    """Return the figure that the authors report, the first of a summary. An accuracy is turned into percent."""
    name, value = next(iter(metrics.items()))
    return 100 * value if name == "accuracy" else value


def table(results: Sequence[Result], label: str) -> str:
    """Return a Markdown table with one column for each benchmark.

    Its rows are: this model's figures as the authors report them; each row of the paper's table; the numbers of items;
    mean scores and their 95% intervals; one row for each measure of attention on the evidence. A cell without a value
    is empty. label: name of this model.
    """
    names = list(dict.fromkeys(row for r in results for row in r.paper))
    rows = [[label, *(f"{r.reported:.1f}" for r in results)]]
    rows += [[f"{row} (paper)", *(_cell(r.paper.get(row)) for r in results)] for row in names]
    rows += [["items", *(f"{r.n}" if r.n == r.whole else f"{r.n} of {r.whole}" for r in results)]]
    rows += [["mean score, %", *(f"{100 * r.accuracy:.1f}" for r in results)]]
    rows += [["its 95% interval", *(f"{100 * r.low:.1f} to {100 * r.high:.1f}" for r in results)]]
    for name in dict.fromkeys(name for r in results for name in r.looks):
        rows += [[f"{name}, %", *(measured(r.looks[name]) if name in r.looks else "" for r in results)]]
    head = ["model", *(r.name for r in results)]
    return markdown.table(head, rows, left=len(head))


def measured(look: Mapping[str, float]) -> str:
    """Return a measure of attention with its 95% interval as text, in percent. look: a value of `Result.looks`."""
    return f"{100 * look['mean']:.1f} ({100 * look['ci_low']:.1f} to {100 * look['ci_high']:.1f})"


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
