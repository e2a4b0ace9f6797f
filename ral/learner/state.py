"""The state of a run from step to step, beside weights and optimizer: the one object that checkpoints hold."""

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
    """Counters of a run. step: rollout steps made, and so the position in the data: a step's number says what it reads.

    version: of the policy's weights, one more after each step's updates. skipped: updates that the guard refused.
    """

    step: int = 0
    version: int = 0
    skipped: int = 0


@dataclass
class Evaluated:
    """The last evaluation: its step, and its means, which checkpoints do not hold."""

    step: int = -1
    means: dict[str, float] = field(default_factory=dict)


@dataclass
class Best:
    """The evaluation with the highest value of `metric` so far; step is None before the first."""

    metric: str | None = None
    step: int | None = None
    value: float = -math.inf

    def beaten(self, evaluated: Evaluated) -> bool:
        """Take an evaluation in where it is better than all before it; return whether it is."""
        value = evaluated.means.get(self.metric, -math.inf) if self.metric is not None else -math.inf
        if value <= self.value:
            return False
        self.step, self.value = evaluated.step, value
        return True

    def facts(self) -> dict[str, Any]:
        """Return plain values; {} before the first evaluation."""
        return {} if self.step is None else {"step": self.step, "metric": self.metric, "value": self.value}


@dataclass
class RunState:
    """State that everybody may read; each field has one writer.

    progress: written by the module, from what a step returns. drawn: by the ledger of bad entries. evaluated: by the
    evaluations. best: by the checkpoints. signs: by the watch.
    There is no random state: every random number of a step is a function of the run's seed and the step.
    """

    progress: Progress = field(default_factory=Progress)
    drawn: EntryRecord = field(default_factory=EntryRecord)
    evaluated: Evaluated = field(default_factory=Evaluated)
    best: Best = field(default_factory=Best)
    signs: Signs = field(default_factory=Signs)

    def facts(self) -> dict[str, Any]:
        """Return plain values, which torch.load(weights_only=True) reads."""
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
        """Return the state that a checkpoint holds. best: the metric that this run keeps the best of.

        UserError for a checkpoint of a version to come.
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
    """Return the facts of a checkpoint of version 0.1 in today's layout; its first ones hold the step alone."""
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
