"""Gentle stop: a signal ends the run after the current step, with a checkpoint."""

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
"""Exit code of a process that a signal ended: this plus the signal's number."""


class GentleStop(L.Callback):
    """Callback for Ctrl-C, SIGTERM and SIGUSR1: the run ends after the current step. A second Ctrl-C stops at once.

    A signal before the first step raises SystemExit at once. console: where messages are printed; None for stderr.
    requested: the signal that this process got; None before one. agreed: the signal on which all ranks agreed; None
    before that. left: the signal that ended the run before the first step; 0 where none did.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

    def __init__(self, console: Console | None = None) -> None:
        self.requested: int | None = None  # of this process
        self.agreed: int | None = None  # of all ranks
        self.console = console or Console(stderr=True)
        self.previous: dict[int, Any] = {}
        self.stepped, self.left = False, 0

    def install(self) -> None:
        """Set the handlers of SIGNALS. Do nothing outside the main thread, since other threads get no signals."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in self.SIGNALS:
            self.previous[number] = signal.signal(number, self._receive)

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Set the handlers again: Lightning's own handler of SIGTERM would end the run within a step."""
        for number in self.previous:
            signal.signal(number, self._receive)

    def restore(self) -> None:
        """Set the handlers of SIGNALS to those that `install` replaced."""
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        self.previous = {}

    @property
    def hurried(self) -> bool:
        """Tell whether all ranks stop for a scheduler's signal, which leaves time for a checkpoint and nothing else."""
        return self.agreed is not None and self.agreed != signal.SIGINT

    def hurrying(self) -> int | None:
        """Return the signal that a scheduler sent to this process; None where it sent none, and for Ctrl-C."""
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
        """Note that a step has begun: from here on a signal lets the current step finish."""
        self.stepped = True

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        """Stop all ranks if any of them got a signal; of several signals, the last one in SIGNALS counts."""
        mine = torch.tensor([float(number == self.requested) for number in self.SIGNALS])
        ranks = sum_over_ranks(mine, module.device).tolist()
        for asked in [number for number, count in zip(self.SIGNALS, ranks, strict=True) if count > 0][-1:]:
            self.stop_all(trainer, asked)

    def stop_all(self, trainer: L.Trainer, number: int) -> None:
        """Let training end after this step, for the signal `number`; every rank must call it."""
        self.agreed, trainer.should_stop = number, True
