"""The entries of a training step, and the next ones to try where one cannot be used.

Everything here follows from seed, step and data alone. A position counts the endless sequence of prompts: step s has
the positions s * size .. (s + 1) * size - 1, whatever the number of ranks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch.utils.data import Sampler

LONGEST_RUN = 50  # stand-ins that are tried for one position
EPOCHS_HELD = 4  # orders of epochs kept in memory


class Epochs:
    """Index of the entry at each position. Each of `length` entries occurs once an epoch.

    The order of epoch e is the permutation of a generator seeded with seed * 1,000,003 + e.
    """

    def __init__(self, length: int, seed: int) -> None:
        self.length, self.seed = length, seed
        self._orders: dict[int, torch.Tensor] = {}

    def __getitem__(self, position: int) -> int:
        epoch, at = divmod(position, self.length)
        if epoch not in self._orders:
            if len(self._orders) == EPOCHS_HELD:
                self._orders.pop(next(iter(self._orders)))
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            self._orders[epoch] = torch.randperm(self.length, generator=generator)
        return int(self._orders[epoch][at])


@dataclass(frozen=True)
class Training:
    """Indices to try for a training position: its own entry, then those at the same place of the following steps.

    size: prompts of one step, over all ranks. There are at most LONGEST_RUN indices.
    """

    epochs: Epochs
    size: int

    def __call__(self, position: int) -> Iterator[int]:
        return (self.epochs[position + n * self.size] for n in range(LONGEST_RUN))


@dataclass(frozen=True)
class HeldOut:
    """Indices to try for one of `count` held-out positions: position, position + count, ... below `total`.

    total: entries of the held-out split. Those from index `count` on only stand in for others.
    """

    total: int
    count: int

    def __call__(self, position: int) -> Iterable[int]:
        return range(position, self.total, self.count)


class StepSampler(Sampler[list[int]]):
    """The positions that this rank takes of the `size` prompts of each step, from step `first` to step `last` - 1.

    Rank r of R takes every R-th position of a step, beginning with the r-th (from 0).
    """

    def __init__(self, size: int, first: int, last: int, *, rank: int = 0, ranks: int = 1) -> None:
        self.size, self.first, self.last, self.rank, self.ranks = size, first, last, rank, ranks

    def __len__(self) -> int:
        return max(self.last - self.first, 0)

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.first, self.last):
            yield list(range(step * self.size + self.rank, (step + 1) * self.size, self.ranks))
