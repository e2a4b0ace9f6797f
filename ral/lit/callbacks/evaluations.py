"""Evaluations during a run: when they are made, and the files to which their records are written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L

from ral.evaluation.records import evaluation_means, gather_records, write_records
from ral.learner.state import Evaluated, RunState
from ral.lit.callbacks.stop import GentleStop
from ral.lit.datamodule import Abandoned
from ral.lit.module import PolicyModule


@dataclass(frozen=True)
class Times:
    """Times of evaluations. every: steps between two of them; 0 for none between the first step and the last.

    before: whether the untrained policy is evaluated, at step 0.
    """

    every: int
    before: bool


class Evaluations(L.Callback):
    """Callback that evaluates before training (step 0), at the steps of `times` and at the end, also of a resumed run.

    Means go to the loggers and to `state.evaluated`, which this callback writes; records of the evaluations at step 0
    and at the end go to <folder>/before.jsonl and after.jsonl. stop: tells of signals; a signal of a scheduler ends an
    evaluation.
    """

    def __init__(self, folder: Path, state: RunState, stop: GentleStop, times: Times) -> None:
        self.folder, self.state, self.stop, self.times = folder, state, stop, times

    def on_train_start(self, trainer: L.Trainer, module: PolicyModule) -> None:
        """Evaluate the untrained policy, or make the evaluation for which the interrupted run had no time."""
        step = self.state.progress.step
        if self.state.evaluated.step == step:
            return
        if step == 0 and self.times.before:
            self.evaluate(trainer, module, "before")
        elif step and self.due(trainer, step):
            self.evaluate(trainer, module, None)

    def due(self, trainer: L.Trainer, step: int) -> bool:
        """Tell whether a step has an evaluation; the last step does not count, since the end has its own."""
        return bool(self.times.every) and step % self.times.every == 0 and step < trainer.datamodule.steps.last

    def on_train_batch_end(self, trainer: L.Trainer, module: PolicyModule, *_: Any) -> None:
        """Evaluate when due, unless a scheduler asked to stop: the resumed run then makes this evaluation."""
        if self.due(trainer, self.state.progress.step) and not self.stop.hurried:
            self.evaluate(trainer, module, None)

    def on_train_end(self, trainer: L.Trainer, module: PolicyModule) -> None:
        """Evaluate the trained policy, unless a scheduler asked to stop.

        An interrupted run logs no means, since an uninterrupted run would have none at this step.
        """
        if not self.stop.hurried:
            self.evaluate(trainer, module, "after", log=not trainer.should_stop)

    def evaluate(self, trainer: L.Trainer, module: PolicyModule, label: str | None, log: bool = True) -> None:
        """Evaluate on the held-out prompts of all ranks. log: whether means are logged.

        label: name of the file of records, without .jsonl; None for no file. Signals end the evaluation, except one
        with the label "before".
        """
        try:
            mine = self.answers(trainer, module, interruptible=label != "before")
        except Abandoned as given_up:
            self.stop.stop_all(trainer, given_up.args[0])
            return
        records = gather_records(mine)
        if log:
            self.state.evaluated = Evaluated(self.state.progress.step, evaluation_means(records))
            self.hand_over(trainer, module, records)
        if label and trainer.is_global_zero:
            write_records(self.folder / f"{label}.jsonl", records)

    def answers(self, trainer: L.Trainer, module: PolicyModule, interruptible: bool) -> list[dict[str, Any]]:
        """Return the records of this rank's held-out prompts.

        interruptible: whether a scheduler's signal ends the evaluation; Abandoned is raised then.
        """
        signalled = self.stop.hurrying if interruptible else never  # before the first step there is nothing to save
        mine: list[dict[str, Any]] = []
        with trainer.precision_plugin.val_step_context():  # the arithmetic of the training steps
            for prompts, own in trainer.datamodule.held_out(signalled):
                found = module.evaluate(prompts)
                mine += found if own else []
        return mine

    def hand_over(self, trainer: L.Trainer, module: PolicyModule, records: list[dict[str, Any]]) -> None:
        """Log the means, and the records to loggers that take them, on rank 0."""
        if not trainer.is_global_zero:
            return
        module.write(self.state.evaluated.means)
        for logger in trainer.loggers:
            if hasattr(logger, "log_records"):
                logger.log_records(records, self.state.progress.step, trainer.datamodule.reader.read)


def never() -> None:
    """Return None: no signal."""
