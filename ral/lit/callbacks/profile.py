"""Profile of two steps of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import torch

ROWS = 30
"""Operators in top_costs.txt, the costliest first."""


class Profile(L.Callback):
    """Callback that profiles steps 3 and 4 of this process: <folder>/trace.json (Chrome, Perfetto) and top_costs.txt.

    The profiler runs on rank 0 alone. The profiled steps, and step 2, which warms up, are slower than others.
    """

    WAIT, WARM_UP, STEPS = 1, 1, 2

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.profiler: Any = None

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Start the profiler; nothing is recorded before the warm-up is over."""
        if not trainer.is_global_zero:
            return
        from torch.profiler import profile, schedule

        self.profiler = profile(
            schedule=schedule(wait=self.WAIT, warmup=self.WARM_UP, active=self.STEPS, repeat=1),
            on_trace_ready=self.write,
            profile_memory=True,
        )
        self.profiler.start()

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        """Tell the profiler that a step has ended."""
        if self.profiler is not None:
            self.profiler.step()

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Stop the profiler; a run too short for the schedule leaves the steps recorded until then."""
        if self.profiler is not None:
            self.profiler.stop()

    def write(self, profiler: Any) -> None:
        """Write trace.json and top_costs.txt from PyTorch's `profiler`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        profiler.export_chrome_trace(str(self.folder / "trace.json"))
        column = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        (self.folder / "top_costs.txt").write_text(profiler.key_averages().table(sort_by=column, row_limit=ROWS) + "\n")
