"""Warnings where the metrics show that training goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning as L
from rich.console import Console

from ral.learner.signs import SIGNS, Sign
from ral.learner.state import RunState
from ral.lit.loggers import Wandb
from ral.lit.module import PolicyModule


class Watch(L.Callback):
    """Callback that warns once a run of each sign that training goes wrong, with a remedy; it writes state.signs.

    signs: those that are looked for, by name.
    """

    def __init__(self, state: RunState, console: Console | None = None, signs: Mapping[str, Sign] = SIGNS) -> None:
        self.state, self.console, self.signs = state, console or Console(stderr=True), signs

    def on_train_batch_end(self, trainer: L.Trainer, module: PolicyModule, *_: Any) -> None:
        """Look at the step's metrics, which all ranks have; the first one speaks."""
        for found in self.state.signs.look(module.latest, self.signs):
            if trainer.is_global_zero:
                step = self.state.progress.step
                self.console.print(f"warning: step {step}: {found}", highlight=False, soft_wrap=True)
                for logger in trainer.loggers:
                    if isinstance(logger, Wandb):
                        logger.alert(f"step {step}", str(found))
