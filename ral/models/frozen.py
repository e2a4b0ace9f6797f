"""Networks that a step reads and does not train: the reference, the EMA policy, the teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from transformers import PreTrainedModel

from ral.models.mllm import MLLM
from ral.models.processor import Processor
from ral.models.states import States
from ral.ops.attention import AttentionSpec
from ral.types import Prepared, PromptBatch, Rollout, Shown


class FrozenModel(Protocol):
    """An MLLM, or a view of one that holds no weights of its own."""

    @property
    def network(self) -> PreTrainedModel: ...

    @property
    def processor(self) -> Processor: ...

    @property
    def depth(self) -> int:
        """Number of decoder layers."""
        ...

    def prepare(self, prompts: PromptBatch) -> Prepared:
        """As MLLM.prepare."""
        ...

    def show(self, prepared: Prepared, rollout: Rollout) -> Shown | None:
        """As MLLM.show."""
        ...

    def states(
        self,
        prepared: Prepared,
        token_ids: Tensor,
        valid: Tensor,
        spec: AttentionSpec | None,
        shown: Shown | None = None,
    ) -> States:
        """As MLLM.states."""
        ...

    def head(self, hidden: Tensor) -> Tensor:
        """As MLLM.head."""
        ...

    def sees_like(self, other: MLLM) -> bool:
        """As MLLM.sees_like."""
        ...


@dataclass(frozen=True)
class View:
    """A network, and how it reads the prompts of a batch and what their continuations show; None where nothing."""

    model: FrozenModel
    prepared: Prepared
    shown: Shown | None = None


def read(model: FrozenModel, prompts: PromptBatch, rollout: Rollout) -> View:
    """Return how a network reads prompts and their rollout."""
    prepared = model.prepare(prompts)
    return View(model, prepared, model.show(prepared, rollout))
