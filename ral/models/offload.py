"""Frozen networks kept in main memory between their forward passes, so that they take no device memory there."""

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
    """Hold parameters and buffers on `device` inside the block, except those whose id() is in `staying`.

    After the block they have their former tensors again; changes made on `device` are not copied back.
    """
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
    """A frozen model whose weights are on the policy's device only while one of its forward passes runs.

    policy: the model on whose device it computes. Weights shared with the policy (a vision tower) stay where the policy
    has them. A copy of the head stays on the device from the first use on, since distillation applies the head in every
    update. head_weights: these copies, by device and name.
    """

    policy: MLLM
    head_weights: dict[torch.device, dict[str, Tensor]] = field(default_factory=dict)

    def around(self) -> AbstractContextManager[None]:
        """Return the context that holds the model on the policy's device."""
        network = self.policy.network
        shared = {id(t) for t in (*network.parameters(), *network.buffers())}
        return moved(self.network, self.policy.device, shared)

    def head(self, hidden: Tensor) -> Tensor:
        """Return logits [M V] of hidden states [M D] of M tokens, over the tokenizer's V tokens, as MLLM.head does.

        The output head is copied to the device of `hidden` at the first call there; later calls reuse the copy.
        """
        last, device = self.model.network.lm_head, hidden.device
        if device not in self.head_weights:
            self.head_weights[device] = {name: w.detach().to(device) for name, w in last.named_parameters()}
        with arithmetic(device, self.model.dtype):
            logits: Tensor = torch.func.functional_call(last, self.head_weights[device], (hidden,))
        return logits[:, : self.processor.vocab_size]
