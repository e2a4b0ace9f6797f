"""A gentle stop: a signal ends the run after the step, with everything saved."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

import lightning as L
import torch
from rich.console import Console

from ral.learner.handover import end_workers
from ral.learner.ranks import sum_over_ranks

EXIT = 128
"""Exit code of a process that a signal ended, less the signal's number."""


class GentleStop(L.Callback):
    """Callback for Ctrl-C, SIGTERM and SIGUSR1: the step is finished, saved and left. A second Ctrl-C stops at once.

    Before the first step there is nothing to finish: SystemExit at once. left: the signal of such an end.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

    def __init__(self, console: Console | None = None) -> None:
        self.requested: int | None = None  # of this process
        self.agreed: int | None = None  # of all ranks
        self.console = console or Console(stderr=True)
        self.previous: dict[int, Any] = {}
        self.stepped, self.left = False, 0

    def install(self) -> None:
        """Catch the signals; in a thread that is not the main one, which gets none, do nothing."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in self.SIGNALS:
            self.previous[number] = signal.signal(number, self._receive)

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Take SIGTERM back from Lightning, which would end the run within the step."""
        for number in self.previous:
            signal.signal(number, self._receive)

    def restore(self) -> None:
        """Give the signals back."""
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        self.previous = {}

    @property
    def hurried(self) -> bool:
        """Tell whether a scheduler asked, which gives little time: nothing but the checkpoint is written."""
        return self.agreed is not None and self.agreed != signal.SIGINT

    def hurrying(self) -> int | None:
        """Return the scheduler's signal to this process, if there was one."""
        return None if self.requested == signal.SIGINT else self.requested

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.requested is not None:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return  # schedulers may ask more than once
        self.requested = number
        if not self.stepped:
            self.left = number
            self.console.print("stopped before the first step: nothing is left to save", highlight=False)
            end_workers()
            raise SystemExit(EXIT + number)
        again = "; press Ctrl-C again to stop at once" if number == signal.SIGINT else ""
        self.console.print(f"stopping after this step{again}", highlight=False)

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        """Note that from here on there is a step to finish."""
        self.stepped = True

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        """Stop here if any rank was asked to; all agree on the signal, since one that is alone would hang."""
        mine = torch.tensor([float(number == self.requested) for number in self.SIGNALS])
        ranks = sum_over_ranks(mine, module.device).tolist()
        for asked in [number for number, count in zip(self.SIGNALS, ranks, strict=True) if count > 0][-1:]:
            self.stop_all(trainer, asked)

    def stop_all(self, trainer: L.Trainer, number: int) -> None:
        """End the training of all ranks, which agreed on the signal."""
        self.agreed, trainer.should_stop = number, True
