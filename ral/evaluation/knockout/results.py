"""Accuracies of a knock-out with their intervals, as JSON, as rows of a table, and in a sentence."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ral.evaluation.knockout.conditions import ALL
from ral.evaluation.knockout.measure import Answer

Z = 1.959964
"""Quantile of the normal distribution for 95%."""


@dataclass(frozen=True)
class Share:
    """Accuracy in percent over n questions, with its 95% interval by Wilson."""

    mean: float
    low: float
    high: float

    def text(self) -> str:
        """The figure with its interval."""
        return f"{self.mean:.1f} ({self.low:.1f} to {self.high:.1f})"


Results = Mapping[str, Mapping[str, Share]]
"""{layers: {condition: accuracy}}; the uncut accuracy stands under all layers."""


def wilson(right: float, n: int) -> Share:
    """Share of `right` of n questions in percent; of a mean over draws, the interval is that of a single draw."""
    share = right / n
    centre, spread = share + Z**2 / (2 * n), Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    low, high = ((centre + side * spread) / (1 + Z**2 / n) for side in (-1, 1))
    return Share(100 * share, 100 * max(low, 0.0), 100 * min(high, 1.0))


def results_of(answers: Sequence[Answer]) -> dict[str, dict[str, Share]]:
    """Accuracies by layers and condition; a placebo is the mean of its draws, question by question."""
    groups: dict[tuple[str, str], list[Answer]] = defaultdict(list)
    for answer in answers:
        groups[answer.layers, answer.condition].append(answer)
    found: dict[str, dict[str, Share]] = {}
    for (layers, condition), group in groups.items():
        draws = len({answer.draw for answer in group})
        n = len({answer.uid for answer in group})
        found.setdefault(layers, {})[condition] = wilson(sum(a.right for a in group) / draws, n)
    return found


def content(results: Results, n: int) -> dict[str, Any]:
    """results.json: accuracies in percent of a cut in all layers, then intervals, then the other sets of layers."""
    whole = {name: round(share.mean, 2) for name, share in results[ALL].items()}
    if "placebo_from_both" in whole:
        whole["placebo"] = whole["placebo_from_both"]
    intervals = {k: [round(share.low, 2), round(share.high, 2)] for k, share in results[ALL].items()}
    layers = {
        where: {name: round(share.mean, 2) for name, share in own.items()}
        for where, own in results.items()
        if where != ALL
    }
    return {
        "n": n,
        **whole,
        "intervals": intervals,
        **({"layers": layers} if layers else {}),
        "reading": reading(results),
    }


def rows_of(results: Results) -> list[list[str]]:
    """Rows of the table: layers, what is cut, from what, accuracy with its interval."""
    found = []
    for where, own in results.items():
        for name, share in own.items():
            keys, _, part = name.partition("_from_")
            found.append([where if part else "", keys if part else "nothing", part, share.text()])
    return found


def reading(results: Results) -> str:
    """Say which tokens read the evidence, where intervals tell: that of a cut ends below that of the placebo."""
    whole = results[ALL]

    def hurts(part: str) -> bool | None:
        evidence, placebo = whole.get(f"evidence_from_{part}"), whole.get(f"placebo_from_{part}")
        return None if evidence is None or placebo is None else evidence.high < placebo.low

    response, question, both = (hurts(part) for part in ("response", "question", "both"))
    if response:
        return "response: its tokens read the evidence themselves" + (", and so do the question's" if question else "")
    if question:
        return "question: its tokens read the evidence, and the response reads it off them"
    if both:
        return "either: the evidence is read by the response or by the question, each without the other"
    if response is question is both is False:
        return "nothing: these answers do not depend on attention to the evidence, or the questions are too few"
    return "unknown: evidence and placebo were not both cut from response, question and both"
