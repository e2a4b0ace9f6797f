"""Guard of updates: one whose gradient is not finite is skipped, counted, and its batch written for inspection."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ral.errors import UserWarned
from ral.learner.experience import Experience
from ral.types import UserError

MOST_DUMPS = 5
"""Most skipped updates of a run whose batches are written."""


@dataclass(frozen=True)
class Guard:
    """Guard of updates: one whose gradient is not finite is skipped and counted.

    folder: where the batches of the first MOST_DUMPS skipped updates are written, one file a rank each. max_skipped:
    most updates that a run may skip.
    """

    folder: Path
    max_skipped: int

    def count(
        self, skipped: int, norm: Tensor, name: str, parts: Sequence[Experience], losses: Sequence[Mapping[str, Tensor]]
    ) -> int:
        """Return the number of skipped updates: `skipped` where this update may be made, else one more.

        skipped: number before this update. norm: norm of the gradient over all ranks, so that all decide alike. name:
        name of the file for the batch. parts, losses: experience and {term: loss} of each micro-batch. UserError where
        more than max_skipped updates have been skipped.
        """
        if bool(torch.isfinite(norm)):
            return skipped
        if skipped < MOST_DUMPS:
            warnings.warn(
                f"{name}: the gradient is not finite: no update; batch in {self.folder}", UserWarned, stacklevel=2
            )
            self.keep(name, [describe(*pair) for pair in zip(parts, losses, strict=True)])
        if skipped + 1 > self.max_skipped:
            raise UserError(
                f"the gradient was not finite in {skipped + 1} updates, more than "
                f"guard.max_skipped={self.max_skipped}; batches of the first ones are in {self.folder}: lower "
                "algo.learning_rate, or look for the entry that does it"
            )
        return skipped + 1

    def keep(self, name: str, batch: list[dict[str, Any]]) -> None:
        """Write a batch to folder/name.pt. A failure is a warning: after an error on one rank the others would hang."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            torch.save(batch, self.folder / f"{name}.pt")
        except (OSError, RuntimeError) as error:
            warnings.warn(f"{self.folder}: the batch cannot be written ({error})", UserWarned, stacklevel=3)


def describe(part: Experience, losses: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return a micro-batch and its losses as tensors and plain values, which torch.load(weights_only=True) reads."""
    rollout = part.rollout
    return {
        "uids": [example.uid for example in rollout.prompts.examples],
        "texts": list(rollout.texts),
        "token_ids": rollout.token_ids.cpu(),
        "valid": rollout.valid.cpu(),
        "trainable": rollout.trainable.cpu(),
        "advantages": part.advantages.cpu(),
        "losses": {name: loss.cpu() for name, loss in losses.items()},
    }
