"""The task that a network is trained for: how it is made ready, asked held-out questions, and written at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from ral.models.mllm import MLLM
from ral.types import PromptBatch


class Task(Protocol):
    """A policy that answers, a model that scores answers, or what an algorithm brings."""

    def equip(self, policy: MLLM) -> None:
        """Add to the network what the task needs, before an optimizer or a copy of it is made."""
        ...

    def evaluate(self, policy: MLLM, prompts: PromptBatch) -> list[dict[str, Any]]:
        """Return a record of each held-out prompt; all ranks call it together."""
        ...

    def export(self, policy: MLLM, state: dict[str, Tensor], run: Path, step: int) -> None:
        """Write the folder hf/ of a run; state: the whole weights after `step` steps."""
        ...
