"""Training state from step to step, which checkpoints hold beside weights and optimizer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ral.data.bad import EntryRecord
from ral.learner.signs import Signs
from ral.types import UserError

LAYOUT = 2
"""Version of the dict that `RunState.facts` returns. Checkpoints without it are of 0.1 (`of_version_0_1`)."""


@dataclass(frozen=True)
class Progress:
    """Counters of a run.

    step: number of steps made; the position in the data follows from it, since the number of a step decides its
    prompts. version: version of the policy's weights, one more after each step. skipped: number of updates that the
    guard refused.
    """

    step: int = 0
    version: int = 0
    skipped: int = 0


@dataclass
class Evaluated:
    """The last evaluation. step: its step; -1 before the first. means: {metric: mean}; checkpoints do not hold them."""

    step: int = -1
    means: dict[str, float] = field(default_factory=dict)


@dataclass
class Best:
    """The evaluation with the highest value of a metric so far. step: its step; None before the first evaluation.

    metric: name of the metric; None where no best evaluation is sought. value: the highest value.
    """

    metric: str | None = None
    step: int | None = None
    value: float = -math.inf

    def beaten(self, evaluated: Evaluated) -> bool:
        """Note an evaluation if its value of `metric` is higher than any before; return whether it is."""
        value = evaluated.means.get(self.metric, -math.inf) if self.metric is not None else -math.inf
        if not value > self.value:  # nor where it is NaN, of which nothing is higher
            return False
        self.step, self.value = evaluated.step, value
        return True

    def facts(self) -> dict[str, Any]:
        """Return step, metric and value as plain values; {} before the first evaluation."""
        return {} if self.step is None else {"step": self.step, "metric": self.metric, "value": self.value}


@dataclass
class RunState:
    """Training state that every part of a run may read; each field has one writer.

    progress: counters, written by PolicyModule. drawn: entries tried and bad ones, written by the Ledger. evaluated:
    the last evaluation, written by the callback Evaluations. best: the best evaluation, written by Checkpoints. signs:
    warnings given so far, written by Watch. There is no random state: every random number of a step is a function of
    the run's seed and the step.
    """

    progress: Progress = field(default_factory=Progress)
    drawn: EntryRecord = field(default_factory=EntryRecord)
    evaluated: Evaluated = field(default_factory=Evaluated)
    best: Best = field(default_factory=Best)
    signs: Signs = field(default_factory=Signs)

    def facts(self) -> dict[str, Any]:
        """Return the state as plain values, which torch.load(weights_only=True) reads."""
        return {
            "layout": LAYOUT,
            "step": self.progress.step,
            "version": self.progress.version,
            "skipped": self.progress.skipped,
            "data": self.drawn.facts(),
            "evaluated": self.evaluated.step,
            "best": self.best.facts(),
            "signs": self.signs.state(),
        }

    @classmethod
    def of(cls, facts: Mapping[str, Any], best: str | None) -> RunState:
        """Return the state from the facts of a checkpoint.

        best: the metric by which this run chooses its best step; None for no choice. A best evaluation by another
        metric is forgotten. UserError for a checkpoint of another layout, such as that of a later version.
        """
        facts = of_version_0_1(facts) if "layout" not in facts else facts
        if facts["layout"] != LAYOUT:
            raise UserError(
                f"resume: the checkpoint has layout {facts['layout']}, and this version reads {LAYOUT}: go on with the "
                "version that wrote it"
            )
        kept = facts["best"] if facts["best"].get("metric") == best else {}  # another metric's values say nothing
        return cls(
            Progress(int(facts["step"]), int(facts["version"]), int(facts["skipped"])),
            EntryRecord.of(facts["data"]) if facts["data"] else EntryRecord(),
            Evaluated(int(facts["evaluated"])),
            Best(**{**kept, "metric": best}),
            Signs.of(facts["signs"]) if facts["signs"] else Signs(),
        )


def of_version_0_1(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a checkpoint of version 0.1 in the layout LAYOUT. The oldest ones hold the step alone."""
    remembered = facts.get("remembered", {})
    return {
        "layout": LAYOUT,
        "step": facts["step"],
        "version": facts["step"],
        "skipped": remembered.get("Skip", {}).get("skipped", 0),
        "data": facts.get("data"),
        "evaluated": facts.get("evaluated", facts["step"]),
        "best": facts.get("best", {}),
        "signs": remembered.get("Watch"),
    }
