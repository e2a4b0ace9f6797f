"""The progress of a run on the terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import lightning as L
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ral.lit.module import PolicyModule


class ProgressBar(L.Callback):
    """One bar with reward, accuracy, seconds a step and time left; plain lines where the output is no terminal."""

    def __init__(self, total: int, console: Console | None = None, lines: int = 20) -> None:
        self.total, self.console = total, console or Console(stderr=True)
        self.every = max(total // lines, 1)
        self.bar: Progress | None = None
        self.first = 0

    def on_train_start(self, trainer: L.Trainer, module: PolicyModule) -> None:
        """Start the bar at the run's first step: that of a resumed run is not 0."""
        self.started, self.first = time.perf_counter(), module.state.progress.step
        if trainer.is_global_zero and self.console.is_terminal:
            text = TextColumn("{task.description}")
            self.bar = Progress(
                text,
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self.console,
            )
            self.bar.start()
            self.task = self.bar.add_task("training", total=self.total, completed=self.first)

    def on_train_batch_end(self, trainer: L.Trainer, module: PolicyModule, *_: Any) -> None:
        """Show the step's figures."""
        if not trainer.is_global_zero:
            return
        step, text = module.state.progress.step, describe(module.latest)
        if self.bar is not None:
            self.bar.update(self.task, completed=step, description=text)
        elif step % self.every == 0 or step == self.total:
            left = (time.perf_counter() - self.started) / (step - self.first) * (self.total - step)
            self.console.print(f"step {step}/{self.total}  {text}  {left:.0f}s left", highlight=False)

    def on_train_end(self, trainer: L.Trainer, module: PolicyModule) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.stop()

    def on_exception(self, trainer: L.Trainer, module: PolicyModule, exception: BaseException) -> None:
        """Give the terminal back."""
        if self.bar is not None:
            self.bar.stop()


def describe(values: Mapping[str, float]) -> str:
    """Return the figures that a bar shows, those that the run has."""
    shown = {"train/reward": "reward", "train/accuracy": "accuracy", "train/nll": "nll"}
    shown |= {"train/pair_accuracy": "pairs right", "time/step_s": "s/step"}
    return "  ".join(f"{label} {values[key]:.3f}" for key, label in shown.items() if key in values)
