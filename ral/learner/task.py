"""The task that a network is trained for: how it is equipped, evaluated on held-out prompts, and exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from ral.models.mllm import MLLM
from ral.types import PromptBatch


class Task(Protocol):
    """Task of the trained network: a policy that responds, a reward model, or a task that an algorithm brings."""

    def equip(self, policy: MLLM) -> None:
        """Add the parts that the task needs to the network, before an optimizer or a copy of the network is made."""
        ...

    def evaluate(self, policy: MLLM, prompts: PromptBatch) -> list[dict[str, Any]]:
        """Return a record of each held-out prompt (docs/outputs.md); all ranks call it at the same time."""
        ...

    def export(self, policy: MLLM, state: dict[str, Tensor], run: Path, step: int) -> None:
        """Write the folder hf/ of the run in folder `run`. state: {name: whole weight} after `step` steps."""
        ...
