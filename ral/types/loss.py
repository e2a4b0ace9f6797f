"""The value of a term of an objective, and metrics that can be summed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

Metrics = dict[str, tuple[Any, Any]]
"""{name: (total, count)}: summed over micro-batches, updates and ranks before the division."""


@dataclass(frozen=True)
class Loss:
    """Value of a term, an fp32 scalar to minimise; metrics {name: (total, count)}, summed over ranks, then divided."""

    value: Tensor
    metrics: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
