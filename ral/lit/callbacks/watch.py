"""Warnings where the metrics show signs that training goes wrong (ral.learner.signs)."""

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
    """Callback that warns of each sign that training goes wrong, once a run, with a remedy.

    state: training state, of which this callback writes `signs`. console: None for stderr. signs: {name: sign} to look
    for.
    """

    def __init__(self, state: RunState, console: Console | None = None, signs: Mapping[str, Sign] = SIGNS) -> None:
        self.state, self.console, self.signs = state, console or Console(stderr=True), signs

    def on_train_batch_end(self, trainer: L.Trainer, module: PolicyModule, *_: Any) -> None:
        """Look for signs in the step's metrics, which all ranks have; rank 0 prints the warnings and alerts W&B."""
        for found in self.state.signs.look(module.latest, self.signs):
            self._warn(trainer, found)

    def on_train_end(self, trainer: L.Trainer, module: PolicyModule) -> None:
        """Warn at the end of a run that is too short for the sign of weights at rest, and in which none moved."""
        if found := self.state.signs.at_end():
            self._warn(trainer, found)

    def _warn(self, trainer: L.Trainer, found: str) -> None:
        if trainer.is_global_zero:
            step = self.state.progress.step
            self.console.print(f"warning: step {step}: {found}", highlight=False, soft_wrap=True)
            for logger in trainer.loggers:
                if isinstance(logger, Wandb):
                    logger.alert(f"step {step}", found)
