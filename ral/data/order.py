"""The entries of a step, and those that stand in where one cannot be used: functions of seed, step and data alone.

A position counts the endless sequence of prompts: step s has the positions s * size .. (s + 1) * size - 1, whatever
the number of ranks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch.utils.data import Sampler

LONGEST_RUN = 50  # stand-ins that are tried for one position
EPOCHS_HELD = 4  # orders of epochs kept in memory


class Epochs:
    """Position -> entry. Epoch e visits all entries in the order of a generator seeded with (seed, e)."""

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
    """Candidates for a position of training: its entry, then those at the same position of the following steps."""

    epochs: Epochs
    size: int

    def __call__(self, position: int) -> Iterator[int]:
        return (self.epochs[position + n * self.size] for n in range(LONGEST_RUN))


@dataclass(frozen=True)
class HeldOut:
    """Candidates for one of the `count` held-out positions: its entry, then the spare ones of the split of `total`."""

    total: int
    count: int

    def __call__(self, position: int) -> Iterable[int]:
        return range(position, self.total, self.count)


class StepSampler(Sampler[list[int]]):
    """The positions of steps first..last-1, `size` a step, this rank's share of each."""

    def __init__(self, size: int, first: int, last: int, *, rank: int = 0, ranks: int = 1) -> None:
        self.size, self.first, self.last, self.rank, self.ranks = size, first, last, rank, ranks

    def __len__(self) -> int:
        return self.last - self.first

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.first, self.last):
            yield list(range(step * self.size + self.rank, (step + 1) * self.size, self.ranks))
