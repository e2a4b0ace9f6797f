"""Learning-rate schedules: the factor of the peak rate as a function of the step alone: resuming needs no state."""

from __future__ import annotations

import math


def warmup_cosine(step: int, *, max_steps: int, warmup: int, final: float) -> float:
    """Linear rise over `warmup` steps, then half a cosine from 1 down to `final` at max_steps."""
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(max_steps - warmup, 1)
    return final + (1 - final) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
