"""How many weights an update changes: too small an update rounds away, and nothing else of a run shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ral.types import UserError

ENTRIES = 2**16
"""Entries of all trained weights that are looked at, at most, on each rank."""


class Moved:
    """Makes updates and counts the changed entries in a sample of the trained weights, drawn once from `seed`.

    Of sharded weights a rank looks at its own part. Entries without a gradient (embeddings of tokens that no prompt
    had) do not count: nothing is meant to move them.
    """

    def __init__(self, seed: int, entries: int = ENTRIES) -> None:
        self.seed, self.entries = seed, entries
        self.chosen: list[Tensor] = []  # of each parameter, indices into its flat local part

    def __call__(self, parameters: Sequence[nn.Parameter], step: Callable[[], object]) -> tuple[int, int]:
        """Call `step`, which updates the parameters; (entries that changed, entries with a gradient).

        UserError where one of the entries is not finite afterwards.
        """
        if not self.chosen:
            self.chosen = draw([local(p).numel() for p in parameters], self.entries, self.seed)
        places = [
            (p, at[local(p.grad).flatten()[at.to(p.grad.device)].cpu() != 0])
            for p, at in zip(parameters, self.chosen, strict=True)
            if p.grad is not None and len(at)
        ]
        before = [entries(p, at) for p, at in places]
        step()
        after = [entries(p, at) for p, at in places]
        if not all(bool(new.isfinite().all()) for new in after):
            raise UserError(
                "an update made weights that are not finite (NaN or infinity); the run stops, and nothing is exported:"
                " lower algo.learning_rate; checkpoints written before are whole"
            )
        changed = sum(int((old != new).sum()) for old, new in zip(before, after, strict=True))
        return changed, sum(len(at) for _, at in places)


def draw(sizes: Sequence[int], most: int, seed: int) -> list[Tensor]:
    """Indices into each of several flat tensors: `most` of all their entries together, or all where there are fewer."""
    total = sum(sizes)
    if total <= most:
        return [torch.arange(size) for size in sizes]
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(total, (most,), generator=generator).unique()
    starts = torch.tensor([0, *sizes]).cumsum(0)
    counts = torch.searchsorted(drawn, starts).diff().tolist()
    return [part - start for part, start in zip(drawn.split(counts), starts.tolist(), strict=False)]


def local(tensor: Tensor) -> Tensor:
    """The part of a tensor that lies on this rank."""
    part: Tensor = tensor.detach()
    return part.to_local() if hasattr(part, "to_local") else part


def entries(parameter: Tensor, at: Tensor) -> Tensor:
    """A copy of the entries at flat indices of the local part."""
    part = local(parameter)
    return part.flatten()[at.to(part.device)]
