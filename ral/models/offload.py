"""Frozen networks that rest in main memory: no room on the device is taken between their passes."""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ral.models.masters import arithmetic
from ral.models.mllm import MLLM


@contextmanager
def lent(network: nn.Module, device: torch.device, staying: Set[int]) -> Iterator[None]:
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


class Resting(MLLM):
    """A frozen model as it is elsewhere, on the policy's device while a pass runs.

    What it shares with the policy (a vision tower) stays with the policy. Its head stays on the device from its first
    use on: distillation applies it in every update. The model is held without registering it: Lightning would move it.
    """

    policy: MLLM
    model: MLLM
    near: dict[torch.device, dict[str, Tensor]]

    def __init__(self, model: MLLM, policy: MLLM) -> None:
        nn.Module.__init__(self)
        parts = {"network": model.network, "processor": model.processor, "dtype": model.dtype}
        vars(self).update(model=model, policy=policy, near={}, **parts)

    def forward(self, step: str, *args: Any, **kwargs: Any) -> Any:
        """A pass of the model."""
        shared = {id(t) for t in (*self.policy.network.parameters(), *self.policy.network.buffers())}
        with lent(self.network, self.policy.device, shared):
            return self.model(step, *args, **kwargs)

    def head(self, hidden: Tensor) -> Tensor:
        """As MLLM.head, from weights on the device of the states."""
        last = self.network.lm_head
        if hidden.device not in self.near:
            self.near[hidden.device] = {name: w.detach().to(hidden.device) for name, w in last.named_parameters()}
        with arithmetic(hidden.device, self.dtype):
            logits: Tensor = torch.func.functional_call(last, self.near[hidden.device], (hidden,))
        return logits[:, : self.processor.vocab_size]
