"""Accuracies of a knockout with their intervals, as JSON, as rows of a table, and in a sentence."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ral.evaluation.knockout.conditions import ALL, PARTS
from ral.evaluation.knockout.measure import Answer

Z = 1.959964
"""Two-sided 95% quantile of the standard normal distribution."""


@dataclass(frozen=True)
class Share:
    """An accuracy in percent with its 95% interval by Wilson."""

    mean: float
    low: float
    high: float

    def text(self) -> str:
        """Return the accuracy with its interval as text."""
        return f"{self.mean:.1f} ({self.low:.1f} to {self.high:.1f})"


TELLING = 50.0
"""Percent of right answers without a cut, below which a cut that changes nothing proves nothing."""

Results = Mapping[str, Mapping[str, Share]]
"""{layers: {condition: accuracy}}; the accuracy without a cut is among those of all layers, as "none"."""


def wilson(right: float, n: int) -> Share:
    """Return the share of right answers among n questions, in percent, with its 95% interval.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927. right: number
    of right answers, or its mean over draws of placebos; the interval is then that of a single draw.
    """
    share = right / n
    centre, spread = share + Z**2 / (2 * n), Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    low, high = ((centre + side * spread) / (1 + Z**2 / n) for side in (-1, 1))
    return Share(100 * share, 100 * max(low, 0.0), 100 * min(high, 1.0))


def results_of(answers: Sequence[Answer]) -> dict[str, dict[str, Share]]:
    """Return {layers: {condition: accuracy}}. A placebo's accuracy is the mean over its draws."""
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
    """Return the content of results.json. n: number of questions.

    At its top are the accuracies (percent) with cuts in all layers; "intervals" are theirs, "layers" has the accuracies
    with cuts in other sets of layers.
    """
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
    """Return the rows of the table: layers, keys that are cut, part they are cut from, accuracy with its interval."""
    found = []
    for where, own in results.items():
        for name, share in own.items():
            keys, _, part = name.partition("_from_")
            found.append([where if part else "", keys if part else "nothing", part, share.text()])
    return found


def reading(results: Results) -> str:
    """Return a sentence that says which tokens read the evidence.

    They are the response's, the question's, either or none; it is unknown where cuts are missing, or where fewer than
    TELLING percent are right without a cut. Cutting the evidence counts where the interval of its accuracy ends below
    that of its placebo.
    """
    whole = results[ALL]
    cuts = {part: (whole.get(f"evidence_from_{part}"), whole.get(f"placebo_from_{part}")) for part in PARTS}
    known = {part: (cut, placebo) for part, (cut, placebo) in cuts.items() if cut is not None and placebo is not None}
    if len(known) < len(PARTS):
        return "unknown: evidence and placebo were not cut from response, question and both"
    hurt = {part: cut.mean for part, (cut, placebo) in known.items() if cut.high < placebo.low}
    alone = sorted((part for part in PARTS[:2] if part in hurt), key=lambda part: hurt[part])
    if alone:
        less = f"; a part is read by the {alone[1]}'s" if len(alone) > 1 else ""
        return f"{alone[0]}: its tokens read the evidence{less}"
    if hurt:
        return "either: the evidence is read by the response's tokens or by the question's, each without the other"
    if whole["none"].mean < TELLING:
        return f"unknown: fewer than {TELLING:.0f}% of the answers are right with nothing cut"
    return "nothing: the answers do not depend on attention to the evidence, as far as so many questions tell"
