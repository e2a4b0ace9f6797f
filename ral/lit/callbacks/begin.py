"""Beginning of a run: its files, its configuration for the loggers, and the notice that it has begun."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import lightning as L


class Begin(L.Callback):
    """Callback that calls `write` before the first evaluation, and `begun` before each step and at the end of the run.

    Both are called on rank 0 alone. `begun` has to do its work once, at the first call. settings: the run's
    configuration, which is sent to every logger; None for an empty one.
    """

    def __init__(
        self, write: Callable[[], None], begun: Callable[[], None], settings: Mapping[str, Any] | None = None
    ) -> None:
        self.write, self.begun, self.settings = write, begun, settings

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Call `write`, on rank 0, and log the configuration. A checkpoint to resume is restored by now."""
        if trainer.is_global_zero:
            self.write()
        for logger in trainer.loggers:
            logger.log_hyperparams(dict(self.settings or {}))

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        """Call `begun`, on rank 0, once a step has its data."""
        if trainer.is_global_zero:
            self.begun()

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Call `begun`, on rank 0, since a run may have had no step to make."""
        if trainer.is_global_zero:
            self.begun()
