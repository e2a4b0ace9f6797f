"""Schedules of the learning rate: a factor of the peak rate that depends on the step alone; no state to resume."""

from __future__ import annotations

import math


def warmup_cosine(step: int, *, max_steps: int, warmup: int, final: float) -> float:
    """Raise the rate in a line over `warmup` steps, then lower it by half a cosine from 1 to `final` at max_steps.

    SGDR (arXiv 1608.03983), section 3, Eq. 5, with one period; the linear rise: Goyal et al. (arXiv 1706.02677),
    section 2.2.
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(max_steps - warmup, 1)
    return final + (1 - final) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
