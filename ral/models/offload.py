"""Frozen networks kept in main memory: they take no room on the device between their passes."""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ral.models.frozen import Wrapped
from ral.models.masters import arithmetic
from ral.models.mllm import MLLM


@contextmanager
def moved(network: nn.Module, device: torch.device, staying: Set[int]) -> Iterator[None]:
    """Hold the network's tensors on `device` while open, but those whose id is in `staying`; then put them back."""
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
class Offloaded(Wrapped):
    """A frozen model whose weights are on the policy's device while one of its passes runs.

    What it shares with the policy (a vision tower) stays with the policy. Its head stays on the device from its first
    use on: distillation applies it in every update.
    """

    policy: MLLM
    head_weights: dict[torch.device, dict[str, Tensor]] = field(default_factory=dict)

    def around(self) -> AbstractContextManager[None]:
        """Bring the model to the policy's device while open."""
        network = self.policy.network
        shared = {id(t) for t in (*network.parameters(), *network.buffers())}
        return moved(self.network, self.policy.device, shared)

    def head(self, hidden: Tensor) -> Tensor:
        """Do as MLLM.head, from weights on the device of the states."""
        last, device = self.model.network.lm_head, hidden.device
        if device not in self.head_weights:
            self.head_weights[device] = {name: w.detach().to(device) for name, w in last.named_parameters()}
        with arithmetic(device, self.model.dtype):
            logits: Tensor = torch.func.functional_call(last, self.head_weights[device], (hidden,))
        return logits[:, : self.processor.vocab_size]
