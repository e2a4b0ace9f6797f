"""The step at which a run begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning as L


class Begin(L.Callback):
    """Callback at the begin of a run: it calls `write` before the first evaluation, `begun` before the first step.

    Both are called on rank 0, `begun` once; a run with no step left to make begins at its end.
    """

    def __init__(self, write: Callable[[], None], begun: Callable[[], None]) -> None:
        self.write, self.begun = write, begun

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Write the run's files; the checkpoint is restored by now, so that they are of a run that can go on."""
        if trainer.is_global_zero:
            self.write()

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        """Note that the first step has its data."""
        if trainer.is_global_zero:
            self.begun()

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Note the begin of a run that had no step to make."""
        if trainer.is_global_zero:
            self.begun()
