"""The parts of every benchmark: questions as its authors ask them, a judgement of each response, and a summary of all.

A benchmark is three functions, which its yaml names:
    source(path) -> Sequence[Item]        reads the published layout; UserError says which layout was expected
    judge(item, response) -> Judged       extracts the answer and scores it as the authors do
    summary(records) -> {name: number}    the figures that the authors report; first that of the paper's table:
                                          "accuracy" in [0, 1], or another name in a unit of its own
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ral.types import Example


@dataclass(frozen=True)
class Item:
    """One question of a benchmark.

    example: uid (unique in the benchmark), question (the whole text of the user's turn, options and instruction
        included, as the authors word it), options ("A. red", ...) or (), answer (the gold answer as published), media.
    group: the type that averages are also given by, such as "counting"; "" where the benchmark has none.
    answers: all gold answers where there are several (annotators); else ().
    facts: further values that judge or summary read, of plain JSON types; they go into the item's record.
    """

    example: Example
    group: str = ""
    answers: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Judged:
    """Judgement of a response. answer: the text extracted from it, "" for none. score: in [0, 1]."""

    answer: str
    score: float


@dataclass(frozen=True)
class ScoredItem:
    """The part of an answered item that a summary reads. group, facts: those of the item. score: in [0, 1]."""

    uid: str
    group: str
    score: float
    facts: Mapping[str, Any]


ItemJudge = Callable[[Item, str], Judged]
Summary = Callable[[Sequence[ScoredItem]], dict[str, float]]


def mean(values: Sequence[float]) -> float:
    """Return the mean of the values. ZeroDivisionError without values."""
    return sum(values) / len(values)


def accuracy(records: Sequence[ScoredItem]) -> dict[str, float]:
    """Return {"accuracy": the mean score over all items}."""
    return {"accuracy": mean([r.score for r in records])}
