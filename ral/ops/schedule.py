"""Schedules of the learning rate, as a factor of the peak rate: functions of the step, without state."""

from __future__ import annotations

import math


def warmup_cosine(step: int, *, max_steps: int, warmup: int, final: float) -> float:
    """Return the factor of the peak learning rate at `step`, from 0.

    The factor rises linearly to 1 over `warmup` steps, then falls by half a cosine to `final` at max_steps, and stays
    there.

    SGDR (arXiv 1608.03983), section 3, Eq. 5, with one period; the linear rise: Goyal et al. (arXiv 1706.02677),
    section 2.2.
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(max_steps - warmup, 1)
    return final + (1 - final) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
