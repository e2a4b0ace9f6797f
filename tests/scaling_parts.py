"""Named by the configurations of test_scaling.py: an optimizer that notes gradients, a reward, a ragged engine."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ral.models.sharding import shard_layers
from ral.rollout.native import NativeEngine
from ral.types import Box, Example, Rollout


def noted(parameters: list[Tensor], number: int) -> None:
    """Write the gradients of this update, whole, from the first rank."""
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    whole = [g.full_tensor() if hasattr(g, "full_tensor") else g for g in grads]
    if int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", 0))) == 0:
        folder = Path(os.environ["GRADIENTS"])
        folder.mkdir(parents=True, exist_ok=True)
        torch.save([g.detach().clone() for g in whole], folder / f"{number}.pt")


class NotingSGD(torch.optim.SGD):
    """SGD that writes the gradients of each update."""

    def step(self, closure: Any = None) -> Any:
        """One update."""
        self.number = getattr(self, "number", 0) + 1
        noted([p for group in self.param_groups for p in group["params"]], self.number)
        return super().step(closure)


class NotingAdamW(torch.optim.AdamW):
    """AdamW that writes the gradients of each update."""

    def step(self, closure: Any = None) -> Any:
        """One update."""
        self.number = getattr(self, "number", 0) + 1
        noted([p for group in self.param_groups for p in group["params"]], self.number)
        return super().step(closure)


def letters(example: Example, text: str) -> float:
    """Differs between responses of a random model."""
    return sum(ord(c) for c in text) % 97 / 97 + 0.1 * len(example.media)


class RaggedEngine(NativeEngine):
    """Answers of 4 tokens on the first rank, ten times as long on the others: no end token before."""

    def generate(self, prompts: Any, count: int, sampling: Any, seed: int) -> Rollout:
        """Responses that the length limit cuts, where the model does not end them before."""
        long = int(os.environ.get("LOCAL_RANK", 0)) > 0
        return super().generate(prompts, count, replace(sampling, max_new_tokens=40 if long else 4), seed)


def shard_and_lose_a_file(model: Any, mesh: Any, **given: Any) -> None:
    """Shard as ever; on the second rank a file of weights is then gone."""
    shard_layers(model, mesh, **given)
    if int(os.environ.get("LOCAL_RANK", 0)) > 0 and model.stored is not None:
        name = next(iter(model.stored.origins))
        pattern, part = model.stored.origins[name].parts[0]
        model.stored.origins[name].parts[0] = (pattern, replace(part, file=Path("/gone/model.safetensors")))


def first_letters(example: Example, text: str, *, wrong: bool = False) -> list[tuple[int, int, Box]]:
    """Say of the first two characters of any response that they look at the left third of the picture."""
    return [(0, min(len(text), 2), (0.0, 0.0, 1 / 3, 1.0))]
