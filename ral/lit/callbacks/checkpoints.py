"""Checkpoints of a run: when they are written, and which of them stay."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L

from ral.learner.checkpoints import CONFIG, CONTENTS, saved, step_of
from ral.learner.ranks import together
from ral.learner.state import RunState
from ral.learner.weights import write, write_sharded
from ral.lit.module import PolicyModule


@dataclass(frozen=True)
class Keeping:
    """Choice of checkpoints. every: steps between two of them; 0 for one at the end alone.

    keep: number of the newest ones that stay. best: metric of the evaluations; the checkpoint with its highest value
    stays as well; None to keep no further one. sharded: whether each rank writes its own part of sharded networks.
    """

    every: int
    keep: int
    best: str | None = None
    sharded: bool = False


class Checkpoints(L.Callback):
    """Callback that saves when due, at the best evaluation (named by best.json), at the end and at an interruption.

    root: folder of the checkpoints. state: training state, which a checkpoint holds; this callback writes `state.best`.
    saved: step of the checkpoint from which the run resumes; None for a new run. config, contents: the run's
    configuration as yaml and the content of what it was given (`ral.config.contents`), kept in each checkpoint; None
    to keep none.
    """

    def __init__(
        self,
        root: Path,
        state: RunState,
        keeping: Keeping,
        saved: int | None = None,
        config: str | None = None,
        contents: Mapping[str, Any] | None = None,
    ) -> None:
        self.root, self.state, self.keeping, self.saved = root, state, keeping, saved
        self.given = {key: value for key, value in ((CONFIG, config), (CONTENTS, contents)) if value is not None}

    def on_train_start(self, trainer: L.Trainer, module: PolicyModule) -> None:
        """Save again if a resumed run has just made an evaluation that was left out before, and it is the best so far.

        The callback Evaluations, which comes before this one, makes that evaluation.
        """
        if self.state.progress.step and self.better():
            self.write(trainer, module, again=True)

    def on_train_batch_end(self, trainer: L.Trainer, module: PolicyModule, *_: object) -> None:
        """Save when due, when an evaluation was the best so far, and at once when the run is asked to stop."""
        better, every = self.better(), self.keeping.every
        due = every and self.state.progress.step % every == 0
        if due or better or trainer.should_stop:
            self.write(trainer, module)

    def better(self) -> bool:
        """Note this step's evaluation, if there is one; return whether it is the best so far."""
        evaluated = self.state.evaluated
        return evaluated.step == self.state.progress.step and self.state.best.beaten(evaluated)

    def on_train_end(self, trainer: L.Trainer, module: PolicyModule) -> None:
        """Save the last step; if its evaluation is the best so far, save it even where it is saved already."""
        self.write(trainer, module, again=self.better())

    def on_exception(self, trainer: L.Trainer, module: PolicyModule, exception: BaseException) -> None:
        """Save the steps made so far after an error between two steps, such as a broken image.

        With several processes nothing is saved, since all of them would have to take part.
        """
        if not module.stepping and self.state.progress.step and trainer.world_size == 1:
            self.write(trainer, module)

    def write(self, trainer: L.Trainer, module: PolicyModule, again: bool = False) -> None:
        """Save this step and remove old checkpoints; every rank must call it.

        again: True to save a step that is saved already, where else nothing is done. UserError where the checkpoint
        cannot be written.
        """
        step = self.state.progress.step
        if self.saved == step and not again:
            return
        self.saved = step  # a failure is not tried again on the way out
        folder, first = self.root / f"step_{step:06d}", trainer.is_global_zero
        put = write_sharded if self.keeping.sharded else write
        facts = {**self.state.facts(), **self.given}
        put(facts, module.models, module.optimizers(use_pl_optimizer=False), folder, first)
        together(lambda: self.prune() if first else None)

    def prune(self) -> None:
        """Write best.json and remove all checkpoints but the newest `keep` and the best."""
        best = self.state.best.facts()
        if best:
            (self.root / "best.json").write_text(json.dumps(best) + "\n")
        for old in saved(self.root)[: -self.keeping.keep]:
            if step_of(old) != best.get("step"):
                shutil.rmtree(old)
