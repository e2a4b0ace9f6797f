"""Means by group, for benchmarks whose authors report a mean of group means."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from ral.evaluation.benchmarks.items import ScoredItem, mean


def means(records: Sequence[ScoredItem], key: Callable[[ScoredItem], str]) -> dict[str, float]:
    """Return {group: mean score of its records}, in the order of the groups' first records.

    key: the group of a record.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for record in records:
        found[key(record)].append(record.score)
    return {name: mean(scores) for name, scores in found.items()}
