"""Networks that a step reads and does not train: the reference, the EMA policy, the teacher."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
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
        """Return the number of decoder layers that have softmax attention."""
        ...

    def prepare(self, prompts: PromptBatch) -> Prepared:
        """Do as MLLM.prepare."""
        ...

    def show(self, prepared: Prepared, rollout: Rollout) -> Shown | None:
        """Do as MLLM.show."""
        ...

    def states(
        self,
        prepared: Prepared,
        token_ids: Tensor,
        valid: Tensor,
        spec: AttentionSpec | None,
        shown: Shown | None = None,
    ) -> States:
        """Do as MLLM.states."""
        ...

    def head(self, hidden: Tensor) -> Tensor:
        """Do as MLLM.head."""
        ...

    def sees_like(self, other: MLLM) -> bool:
        """Do as MLLM.sees_like."""
        ...


@dataclass(frozen=True)
class Wrapped(ABC):
    """A frozen model that runs the passes of `model` inside `around()`.

    No nn.Module, so that nobody counts, moves, shards or saves the weights a second time.
    """

    model: MLLM

    @abstractmethod
    def around(self) -> AbstractContextManager[None]:
        """Return the context that a pass runs in."""

    @property
    def network(self) -> PreTrainedModel:
        return self.model.network

    @property
    def processor(self) -> Processor:
        return self.model.processor

    @property
    def depth(self) -> int:
        """Return the number of decoder layers that have softmax attention."""
        return self.model.depth

    def prepare(self, prompts: PromptBatch) -> Prepared:
        """Do as MLLM.prepare."""
        with self.around():
            return self.model.prepare(prompts)

    def show(self, prepared: Prepared, rollout: Rollout) -> Shown | None:
        """Do as MLLM.show."""
        with self.around():
            return self.model.show(prepared, rollout)

    def states(
        self,
        prepared: Prepared,
        token_ids: Tensor,
        valid: Tensor,
        spec: AttentionSpec | None,
        shown: Shown | None = None,
    ) -> States:
        """Do as MLLM.states."""
        with self.around():
            return self.model.states(prepared, token_ids, valid, spec, shown)

    def head(self, hidden: Tensor) -> Tensor:
        """Do as MLLM.head, of weights that are where they are outside a pass too."""
        return self.model.head(hidden)

    def sees_like(self, other: MLLM) -> bool:
        """Do as MLLM.sees_like."""
        return self.model.sees_like(other)


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
