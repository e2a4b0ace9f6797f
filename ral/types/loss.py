"""The value of a loss term, and metrics that can be summed over ranks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

Metrics = dict[str, tuple[Any, Any]]
"""{name: (total, count)}: both summed over micro-batches, updates and ranks; the reported value is total / count."""


@dataclass(frozen=True)
class Loss:
    """The value of a loss term, an fp32 scalar to minimise, and its metrics.

    metrics: {name: (total, count)}; both are summed over ranks before total is divided by count.
    """

    value: Tensor
    metrics: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
