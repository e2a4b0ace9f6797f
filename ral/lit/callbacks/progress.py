"""The progress of a run on the terminal."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import lightning as L
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ral.lit.module import PolicyModule

STAGE = logging.getLogger("ral.stage")
"""Logger to which rollouts and updates report their progress within a step."""
SECONDS = {True: 0.5, False: 30.0}
"""Least seconds between two reports within a step: on a terminal (True), and as lines of a log (False)."""


class Inside(logging.Handler):
    """Logging handler of STAGE, which passes on messages at intervals of `every` seconds or more.

    show: function that gets a message. now: clock, in seconds, from which the first interval counts.
    """

    def __init__(self, show: Callable[[str], None], every: float, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.DEBUG)
        self.show, self.every, self.now = show, every, now
        self.last = now()

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record's message if the last one was shown `every` seconds ago or more."""
        if self.now() - self.last >= self.every:
            self.last = self.now()
            self.show(record.getMessage())

    def listen(self) -> None:
        """Start to handle the records of STAGE, which then reach no other handler."""
        STAGE.addHandler(self)
        STAGE.setLevel(logging.DEBUG)
        STAGE.propagate = False

    def leave(self) -> None:
        """Stop handling the records of STAGE."""
        STAGE.removeHandler(self)
        STAGE.setLevel(logging.NOTSET)


class ProgressBar(L.Callback):
    """Progress bar with reward, accuracy, seconds a step and time left, on rank 0.

    total: steps of the run. console: None for stderr. Where the output is no terminal, about `lines` plain lines are
    printed.
    """

    def __init__(self, total: int, console: Console | None = None, lines: int = 20) -> None:
        self.total, self.console = total, console or Console(stderr=True)
        self.every = max(total // lines, 1)
        self.bar: Progress | None = None
        self.inside: Inside | None = None
        self.first = 0

    def on_train_start(self, trainer: L.Trainer, module: PolicyModule) -> None:
        """Start the bar at the step where the run begins or is resumed."""
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
        if trainer.is_global_zero:
            self.inside = Inside(self.show, SECONDS[self.bar is not None])
            self.inside.listen()

    def show(self, stage: str) -> None:
        """Show how far the current step is: beside the bar, or as a line."""
        if self.bar is not None:
            self.bar.update(self.task, description=stage)
        else:
            self.console.print(f"  {stage}", highlight=False)

    def on_train_batch_end(self, trainer: L.Trainer, module: PolicyModule, *_: Any) -> None:
        """Show the metrics of the step."""
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
        self.close()

    def on_exception(self, trainer: L.Trainer, module: PolicyModule, exception: BaseException) -> None:
        """Close the bar, so that the error is printed below it."""
        self.close()

    def close(self) -> None:
        """Stop the bar and the handler of STAGE."""
        if self.bar is not None:
            self.bar.stop()
        if self.inside is not None:
            self.inside.leave()


def describe(values: Mapping[str, float]) -> str:
    """Return the text of a progress bar: those of the shown metrics that are in `values`, {metric: value}."""
    shown = {"train/reward": "reward", "train/accuracy": "accuracy", "train/nll": "nll"}
    shown |= {"train/pair_accuracy": "pairs right", "time/step_s": "s/step"}
    return "  ".join(f"{label} {values[key]:.3f}" for key, label in shown.items() if key in values)
