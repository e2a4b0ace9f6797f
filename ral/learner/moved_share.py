"""The share of weights that an update changes: too small an update rounds away, and nothing else of a run shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ral.types import UserError

ENTRIES = 2**16
"""Entries of all trained weights that are looked at, at most, on each rank."""


@dataclass(frozen=True)
class Sample:
    """Entries of the trained weights that have a gradient, as they were before an update."""

    places: Sequence[tuple[nn.Parameter, Tensor]]
    before: Sequence[Tensor]

    def changed(self) -> tuple[int, int]:
        """Count after the update: (entries that changed, entries). UserError where one is not finite."""
        after = [entries(*place) for place in self.places]
        if not all(bool(new.isfinite().all()) for new in after):
            raise UserError(
                "an update made weights that are not finite (NaN or infinity); the run stops, and nothing is exported:"
                " lower algo.learning_rate; checkpoints written before are whole"
            )
        changed = sum(int((old != new).sum()) for old, new in zip(self.before, after, strict=True))
        return changed, sum(len(at) for _, at in self.places)


class Moved:
    """Sample of the trained weights, by which what an update changed of them is counted; drawn once from `seed`.

    Of sharded weights a rank looks at its own part. Entries without a gradient (embeddings of tokens that no prompt
    had) do not count: nothing is meant to move them.
    """

    def __init__(self, seed: int, entries: int = ENTRIES) -> None:
        self.seed, self.entries = seed, entries
        self.chosen: list[Tensor] = []  # of each parameter, indices into its flat local part

    def sample(self, parameters: Sequence[nn.Parameter]) -> Sample:
        """Return the sample before an update; the gradients are there already."""
        if not self.chosen:
            self.chosen = draw([local(p).numel() for p in parameters], self.entries, self.seed)
        places = [
            (p, at[local(p.grad).flatten()[at.to(p.grad.device)].cpu() != 0])
            for p, at in zip(parameters, self.chosen, strict=True)
            if p.grad is not None and len(at)
        ]
        return Sample(places, [entries(p, at) for p, at in places])


def draw(sizes: Sequence[int], most: int, seed: int) -> list[Tensor]:
    """Draw indices into each of several flat tensors: `most` of all their entries together, or all if fewer."""
    total = sum(sizes)
    if total <= most:
        return [torch.arange(size) for size in sizes]
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(total, (most,), generator=generator).unique()
    starts = torch.tensor([0, *sizes]).cumsum(0)
    counts = torch.searchsorted(drawn, starts).diff().tolist()
    return [part - start for part, start in zip(drawn.split(counts), starts.tolist(), strict=False)]


def local(tensor: Tensor) -> Tensor:
    """Return the part of a tensor that lies on this rank."""
    part: Tensor = tensor.detach()
    return part.to_local() if hasattr(part, "to_local") else part


def entries(parameter: Tensor, at: Tensor) -> Tensor:
    """Copy the entries at flat indices of the local part."""
    part = local(parameter)
    return part.flatten()[at.to(part.device)]
