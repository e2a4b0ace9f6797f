"""Wall-clock seconds of the parts of a step, the work of the GPU included."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Clock:
    """Stopwatch that adds up seconds by name. device: if it is a GPU, the end of a timed block waits for its work."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.started = device, time.perf_counter()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Add the block's seconds to `seconds[name]`; on CUDA the end waits for the device."""
        started = time.perf_counter()
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    def total(self) -> float:
        """Return the seconds since the clock was made."""
        return time.perf_counter() - self.started
