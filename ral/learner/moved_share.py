"""Share of the weights that an update changes: an update that is too small rounds away, and no other metric tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ral.types import UserError

ENTRIES = 2**16
"""Most entries of the trained weights that each rank samples."""


@dataclass(frozen=True)
class Sample:
    """Sampled entries of the trained weights whose gradient is not 0.

    places: each parameter with indices into its flat local part; before: these entries' values before an update.
    """

    places: Sequence[tuple[nn.Parameter, Tensor]]
    before: Sequence[Tensor]

    def changed(self) -> tuple[int, int]:
        """Return (number of entries that the update changed, number of entries), after the update.

        UserError where an entry is not finite.
        """
        after = [entries(*place) for place in self.places]
        if not all(bool(new.isfinite().all()) for new in after):
            raise UserError(
                "an update made weights that are not finite (NaN or infinity); the run stops, and nothing is exported:"
                " lower algo.learning_rate; checkpoints written before are whole"
            )
        changed = sum(int((old != new).sum()) for old, new in zip(self.before, after, strict=True))
        return changed, sum(len(at) for _, at in self.places)


class Moved:
    """Sampler of at most `entries` entries of the trained weights, drawn once from `seed`.

    Of sharded weights a rank samples its own part. Entries whose gradient is 0 (embeddings of tokens that no prompt
    had) do not count, since no update is meant to move them.
    """

    def __init__(self, seed: int, entries: int = ENTRIES) -> None:
        self.seed, self.entries = seed, entries
        self.chosen: list[Tensor] = []  # of each parameter, indices into its flat local part

    def sample(self, parameters: Sequence[nn.Parameter]) -> Sample:
        """Return the sampled entries with their values before an update, which `Sample.changed` compares after it.

        parameters: the trained parameters, with their gradients; the same parameters at every call.
        """
        if not self.chosen:
            self.chosen = draw([local(p).numel() for p in parameters], self.entries, self.seed)
        places = [
            (p, at[local(p.grad).flatten()[at.to(p.grad.device)].cpu() != 0])
            for p, at in zip(parameters, self.chosen, strict=True)
            if p.grad is not None and len(at)
        ]
        return Sample(places, [entries(p, at) for p, at in places])


def draw(sizes: Sequence[int], most: int, seed: int) -> list[Tensor]:
    """Return, for each of several flat tensors of these sizes, the indices of its sampled entries.

    All entries are sampled where the tensors have no more than `most` of them in all. Otherwise `most` entries are
    drawn from all of them with replacement, and duplicates dropped, so that slightly fewer remain. seed: fixes the
    draw.
    """
    total = sum(sizes)
    if total <= most:
        return [torch.arange(size) for size in sizes]
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(total, (most,), generator=generator).unique()
    starts = torch.tensor([0, *sizes]).cumsum(0)
    counts = torch.searchsorted(drawn, starts).diff().tolist()
    return [part - start for part, start in zip(drawn.split(counts), starts.tolist(), strict=False)]


def local(tensor: Tensor) -> Tensor:
    """Return this rank's part of a tensor, detached: the local shard where it is sharded, else the whole."""
    part: Tensor = tensor.detach()
    return part.to_local() if hasattr(part, "to_local") else part


def entries(parameter: Tensor, at: Tensor) -> Tensor:
    """Return a copy of the entries of a parameter's local part at flat indices `at`."""
    part = local(parameter)
    return part.flatten()[at.to(part.device)]
