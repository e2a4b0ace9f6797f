"""The result of a search for settings, in words: its best run, and how noisy the searched metric is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ral.files import jsonl

CLOSE = 2.0
"""Standard errors of a difference within which two runs count as equally good."""


@dataclass(frozen=True)
class Trial:
    """A run of a search: its folder's name, the last value of the metric, and the number of questions in that value."""

    folder: str
    value: float
    questions: int

    @property
    def error(self) -> float:
        """Return the standard error of `value`: sqrt(p (1 - p) / n) for a share p of n questions.

        NaN where the value is no share of questions.
        """
        inside = 0 <= self.value <= 1 and self.questions > 0
        return math.sqrt(self.value * (1 - self.value) / self.questions) if inside else math.nan


def trials(folder: Path, metric: str) -> list[Trial]:
    """Return the runs below a search's folder that logged the metric, in the order of their folders."""
    found = []
    for path in sorted(folder.glob("*/metrics.jsonl")):
        lines = [line for line in jsonl.readable(path) if metric in line]
        if lines:
            found.append(Trial(path.parent.name, float(lines[-1][metric]), int(lines[-1].get("eval/prompts", 0))))
    return found


def told(found: Sequence[Trial], metric: str, maximize: bool) -> list[str]:
    """Return lines on the best run of a search and on the noise of its metric; [] with fewer than two runs.

    maximize: whether more is better.
    """
    if len(found) < 2:
        return []
    best, *others = sorted(found, key=lambda trial: trial.value, reverse=maximize)
    if math.isnan(best.error):
        return [f"best: {best.folder}: {metric} {best.value:.4g}; one run each, so how noisy that is was not measured"]
    close = [t for t in others if abs(best.value - t.value) <= CLOSE * math.hypot(best.error, t.error)]
    said = f"best: {best.folder}: {metric} {100 * best.value:.1f}%, standard error {100 * best.error:.1f} points"
    noise = (
        f"noise: within {CLOSE:g} standard errors over its {best.questions} questions lie {len(close)} of "
        f"{len(others)} other runs; seeds, which move runs too, were not repeated"
    )
    return [said, noise, "to tell settings apart give each several seeds (seed=0,1,2,3,4), then scripts/compare.py"]
