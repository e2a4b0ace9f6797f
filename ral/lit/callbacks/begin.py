"""The step at which a run begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import lightning as L


class Begin(L.Callback):
    """Callback at the begin of a run: it calls `write` before the first evaluation, `begun` before the first step.

    Both are called on rank 0, `begun` once; a run with no step left to make begins at its end. settings: the run's
    configuration, which every logger is handed.
    """

    def __init__(
        self, write: Callable[[], None], begun: Callable[[], None], settings: Mapping[str, Any] | None = None
    ) -> None:
        self.write, self.begun, self.settings = write, begun, settings

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Write the run's files; the checkpoint is restored by now, so that they are of a run that can go on."""
        if trainer.is_global_zero:
            self.write()
        for logger in trainer.loggers:
            logger.log_hyperparams(dict(self.settings or {}))

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        """Note that the first step has its data."""
        if trainer.is_global_zero:
            self.begun()

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Note the begin of a run that had no step to make."""
        if trainer.is_global_zero:
            self.begun()
