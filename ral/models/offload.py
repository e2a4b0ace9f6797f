"""Frozen networks kept in main memory: they take no room on the device between their passes."""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ral.models.masters import arithmetic
from ral.models.mllm import MLLM
from ral.models.processor import Processor
from ral.models.states import States
from ral.ops.attention import AttentionSpec
from ral.types import Prepared, PromptBatch, Rollout, Shown


@contextmanager
def moved(network: nn.Module, device: torch.device, staying: Set[int]) -> Iterator[None]:
    """The network's tensors on `device` while open, but for those whose id is in `staying`; then where they were."""
    tensors = [t for t in (*network.parameters(), *network.buffers()) if id(t) not in staying]
    home = [t.data for t in tensors]
    for tensor in tensors:
        tensor.data = tensor.data.to(device, non_blocking=True)
    try:
        yield
    finally:
        for tensor, data in zip(tensors, home, strict=True):
            tensor.data = data


@dataclass(frozen=True)
class Offloaded:
    """A frozen model (ral.models.frozen) whose weights are on the policy's device while one of its passes runs.

    What it shares with the policy (a vision tower) stays with the policy. Its head stays on the device from its first
    use on: distillation applies it in every update. No nn.Module, so that nobody moves, shards or saves the model.
    """

    model: MLLM
    policy: MLLM
    head_weights: dict[torch.device, dict[str, Tensor]] = field(default_factory=dict)

    @property
    def network(self) -> PreTrainedModel:
        return self.model.network

    @property
    def processor(self) -> Processor:
        return self.model.processor

    @property
    def depth(self) -> int:
        """Number of decoder layers."""
        return self.model.depth

    def prepare(self, prompts: PromptBatch) -> Prepared:
        """As MLLM.prepare."""
        with self.on_device():
            return self.model.prepare(prompts)

    def show(self, prepared: Prepared, rollout: Rollout) -> Shown | None:
        """As MLLM.show."""
        with self.on_device():
            return self.model.show(prepared, rollout)

    def states(
        self,
        prepared: Prepared,
        token_ids: Tensor,
        valid: Tensor,
        spec: AttentionSpec | None,
        shown: Shown | None = None,
    ) -> States:
        """As MLLM.states."""
        with self.on_device():
            return self.model.states(prepared, token_ids, valid, spec, shown)

    def on_device(self) -> AbstractContextManager[None]:
        """Bring the model to the policy's device while open."""
        network = self.policy.network
        shared = {id(t) for t in (*network.parameters(), *network.buffers())}
        return moved(self.model.network, self.policy.device, shared)

    def head(self, hidden: Tensor) -> Tensor:
        """As MLLM.head, from weights on the device of the states."""
        last, device = self.model.network.lm_head, hidden.device
        if device not in self.head_weights:
            self.head_weights[device] = {name: w.detach().to(device) for name, w in last.named_parameters()}
        with arithmetic(device, self.model.dtype):
            logits: Tensor = torch.func.functional_call(last, self.head_weights[device], (hidden,))
        return logits[:, : self.processor.vocab_size]

    def sees_like(self, other: MLLM) -> bool:
        """As MLLM.sees_like."""
        return self.model.sees_like(other)
