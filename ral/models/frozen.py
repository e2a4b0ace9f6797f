"""Frozen models, which a step reads and does not train: the reference, the EMA policy, the teacher."""

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
    """Interface of a frozen model: an MLLM, or a wrapper of one that holds no weights of its own (`Wrapped`)."""

    @property
    def network(self) -> PreTrainedModel:
        """Return the Hugging Face network."""
        ...

    @property
    def processor(self) -> Processor:
        """Return the model's processor."""
        ...

    @property
    def depth(self) -> int:
        """Return the number of decoder layers that have softmax attention."""
        ...

    def prepare(self, prompts: PromptBatch) -> Prepared:
        """Return prompts ready for forward passes, with visual embeddings; see MLLM.prepare."""
        ...

    def show(self, prepared: Prepared, rollout: Rollout) -> Shown | None:
        """Return positions and visual embeddings of responses; None where all tokens are sampled; see MLLM.show."""
        ...

    def states(
        self,
        prepared: Prepared,
        token_ids: Tensor,
        valid: Tensor,
        spec: AttentionSpec | None,
        shown: Shown | None = None,
    ) -> States:
        """Return the hidden states that predict the tokens of responses; parameters as in MLLM.states."""
        ...

    def head(self, hidden: Tensor) -> Tensor:
        """Return logits [M V] of hidden states [M D]; see MLLM.head."""
        ...

    def sees_like(self, other: MLLM) -> bool:
        """Tell whether the model shares its vision tower in memory with `other`; see MLLM.sees_like."""
        ...


@dataclass(frozen=True)
class Wrapped(ABC):
    """A frozen model that runs the forward passes of `model` inside the context `around()`.

    A wrapper is no nn.Module, so that weights are not counted, moved, sharded or saved a second time.
    """

    model: MLLM

    @abstractmethod
    def around(self) -> AbstractContextManager[None]:
        """Return the context inside which each forward pass runs, except `head`."""

    @property
    def network(self) -> PreTrainedModel:
        """Return the Hugging Face network."""
        return self.model.network

    @property
    def processor(self) -> Processor:
        """Return the model's processor."""
        return self.model.processor

    @property
    def depth(self) -> int:
        """Return the number of decoder layers that have softmax attention."""
        return self.model.depth

    def prepare(self, prompts: PromptBatch) -> Prepared:
        """Return prompts ready for forward passes, with visual embeddings; see MLLM.prepare."""
        with self.around():
            return self.model.prepare(prompts)

    def show(self, prepared: Prepared, rollout: Rollout) -> Shown | None:
        """Return positions and visual embeddings of responses; None where all tokens are sampled; see MLLM.show."""
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
        """Return the hidden states that predict the tokens of responses; parameters as in MLLM.states."""
        with self.around():
            return self.model.states(prepared, token_ids, valid, spec, shown)

    def head(self, hidden: Tensor) -> Tensor:
        """Return logits [M V] of hidden states [M D], as MLLM.head does; the one pass that does not need `around()`."""
        return self.model.head(hidden)

    def sees_like(self, other: MLLM) -> bool:
        """Tell whether the wrapped model shares its vision tower in memory with `other`; see MLLM.sees_like."""
        return self.model.sees_like(other)


@dataclass(frozen=True)
class View:
    """A frozen model with a batch as this model reads it: the prompts, and the tokens of responses that it was shown.

    prepared: result of the model's `prepare`. shown: result of its `show`; None for a rollout of sampled tokens alone.
    """

    model: FrozenModel
    prepared: Prepared
    shown: Shown | None = None


def read(model: FrozenModel, prompts: PromptBatch, rollout: Rollout) -> View:
    """Return the View of a model on prompts and their rollout; the model's vision tower runs."""
    prepared = model.prepare(prompts)
    return View(model, prepared, model.show(prepared, rollout))
