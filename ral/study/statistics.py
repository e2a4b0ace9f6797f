"""Means over seeds: t-intervals, sign-flip tests of paired differences, Holm's correction.

Pure functions over scipy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95
RESAMPLES = 100_000  # sign flips at random, where trying all would be more
SEED = 0  # of the sign flips


@dataclass(frozen=True)
class Interval:
    """A mean of n values with its 95% t-interval; low and high are NaN for fewer than two values."""

    mean: float
    low: float
    high: float
    n: int


def interval(values: Sequence[float]) -> Interval:
    """Return the mean of independent values and its 95% interval by Student's t: mean -+ t(n - 1) * s / sqrt(n).

    s: standard deviation with n - 1. Student, "The probable error of a mean", Biometrika 6(1), 1908.
    """
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Interval(mean, math.nan, math.nan, n)
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1) * stats.sem(values))
    return Interval(mean, mean - half, mean + half, n)


def sign_flip_p(differences: Sequence[float]) -> float:
    """Return the two-sided p-value of paired differences: how often random signs put the mean as far from zero.

    Fisher, "The design of experiments", 1935: the randomisation test of paired plants.

    All 2^n sign patterns are tried where these are no more than RESAMPLES, else RESAMPLES random ones. Fewer than two
    pairs give 1.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2:
        return 1.0
    found = stats.permutation_test(
        (values, np.zeros_like(values)),
        lambda first, second, axis: np.mean(first - second, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(SEED),
    )
    return float(found.pvalue)


def least_p(n: int) -> float:
    """Return the smallest p that sign_flip_p gives for n pairs: 2 / 2^n, or 2 / (RESAMPLES + 1) with random signs."""
    return 1.0 if n < 2 else 2 / min(2**n, RESAMPLES + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values after Holm's step-down correction, in the given order and never above 1.

    The k-th smallest of m is multiplied by m - k + 1, then raised to the corrected value before it where it is lower.
    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6(2), 1979, pp.
    65-70.
    """
    order = sorted(range(len(p_values)), key=lambda n: p_values[n])
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, n in enumerate(order):
        highest = max(highest, min(1.0, p_values[n] * (len(p_values) - rank)))
        corrected[n] = highest
    return corrected
