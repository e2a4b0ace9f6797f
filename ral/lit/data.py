"""The data as a LightningDataModule: which prompts a step gets depends on seed and step alone."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from ral.data.evidence import evidence_mask
from ral.data.media import MediaReader
from ral.data.prompts import render, target
from ral.models.processor import Processor
from ral.types import Example, PromptBatch, UserError


def fraction(uid: str) -> float:
    """A number in [0, 1) that depends on the uid alone, to deal entries out in fixed shares."""
    return zlib.crc32(uid.encode()) / 2**32


class Examples(Dataset[Example]):
    """Examples by index; media are read in `collate`, in the worker."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Example:
        return self.examples[index]


class StepSampler(Sampler[list[int]]):
    """The indices of steps first..last-1, `size` a step, this rank's share of each.

    Epoch e visits all entries in the order of a generator seeded with (seed, e); steps run across epochs, so a resumed
    run continues the very sequence.
    """

    def __init__(
        self, length: int, size: int, first: int, last: int, *, seed: int, rank: int = 0, ranks: int = 1
    ) -> None:
        self.length, self.size, self.first, self.last = length, size, first, last
        self.seed, self.rank, self.ranks = seed, rank, ranks

    def __len__(self) -> int:
        return self.last - self.first

    def __iter__(self) -> Iterator[list[int]]:
        orders: dict[int, list[int]] = {}
        for step in range(self.first, self.last):
            places = range(step * self.size + self.rank, (step + 1) * self.size, self.ranks)
            epochs = {p // self.length for p in places}
            orders = {e: orders[e] if e in orders else self._order(e) for e in epochs}
            yield [orders[p // self.length][p % self.length] for p in places]

    def _order(self, epoch: int) -> list[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        return torch.randperm(self.length, generator=generator).tolist()


@dataclass(frozen=True)
class Collate:
    """Examples -> PromptBatch, in the worker: media decoded, prompts worded, targets added for supervised fine-tuning.

    templates: wording of the user's turn with and without thinking; answer_only_share: of targets without thinking.
    """

    processor: Processor
    reader: MediaReader
    templates: tuple[str, str]
    thinking: bool
    answer_only_share: float = 0.0
    targets: bool = False

    def __call__(self, examples: Sequence[Example]) -> PromptBatch | UserError:
        """The batch, or the UserError that making it raised: a worker would bury its one line in a traceback."""
        try:
            return self.learn(examples) if self.targets else self.batch(examples, [self.thinking] * len(examples))
        except UserError as error:
            return UserError(str(error))

    def learn(self, examples: Sequence[Example]) -> PromptBatch:
        """Prompts with the responses to learn, longest last, so that micro-batches hold little padding."""
        examples = sorted(examples, key=lambda e: len(e.answer) + len(e.thought or ""))
        thinks = [self.thinking and fraction(e.uid) >= self.answer_only_share for e in examples]
        targets = tuple(target(e, think) for e, think in zip(examples, thinks, strict=True))
        return replace(self.batch(examples, thinks), targets=targets)

    def batch(self, examples: Sequence[Example], thinks: Sequence[bool]) -> PromptBatch:
        """Prompts, each worded with or without thinking."""
        think, zero = self.templates
        texts = [render(e, think if t else zero) for e, t in zip(examples, thinks, strict=True)]
        media = [[self.reader.read(m) for m in e.media] for e in examples]
        prompts = self.processor.batch(examples, texts, media)
        frames_per_slot = self.processor.patches.temporal_patch_size
        return replace(prompts, evidence=evidence_mask(prompts, media, frames_per_slot))


class PromptData(L.LightningDataModule):
    """Prompts of a dataset for training steps and for evaluation.

    source(split=...) -> examples; train_split: "train", or "sft" with targets; evaluation is on "validation".
    collate makes batches of training prompts; evaluation uses it without targets.
    """

    def __init__(
        self,
        source: Callable[..., list[Example]],
        collate: Collate,
        *,
        train_split: str,
        prompts_per_step: int,
        max_steps: int,
        evaluation_prompts: int,
        evaluation_batch: int,
        seed: int,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        self.source, self.collate, self.train_split = source, collate, train_split
        self.prompts_per_step, self.max_steps, self.seed = prompts_per_step, max_steps, seed
        self.evaluation_prompts, self.evaluation_batch = evaluation_prompts, evaluation_batch
        self.num_workers = num_workers
        self.first_step = 0
        self.train: list[Example] = []
        self.held_out: list[Example] = []

    def load(self) -> None:
        """Read the two splits. UserError where one is empty."""
        self.train = self.source(split=self.train_split)
        self.held_out = self.source(split="validation")[: self.evaluation_prompts]
        for split, examples in ((self.train_split, self.train), ("validation", self.held_out)):
            if not examples:
                raise UserError(f"dataset: its {split} split is empty: name another dataset.path or a larger limit")

    def train_dataloader(self) -> DataLoader[Any]:
        """Steps first_step..max_steps of this rank."""
        assert self.trainer is not None
        ranks, rank = self.trainer.world_size, self.trainer.global_rank
        steps = StepSampler(
            len(self.train),
            self.prompts_per_step,
            self.first_step,
            self.max_steps,
            seed=self.seed,
            rank=rank,
            ranks=ranks,
        )
        return self._loader(self.train, steps, self.collate)

    def val_dataloader(self) -> DataLoader[Any]:
        """This rank's share of the held-out prompts, in order."""
        assert self.trainer is not None
        mine = list(range(self.trainer.global_rank, len(self.held_out), self.trainer.world_size))
        batches = [mine[i : i + self.evaluation_batch] for i in range(0, len(mine), self.evaluation_batch)]
        return self._loader(self.held_out, batches, replace(self.collate, targets=False))

    def _loader(
        self, examples: Sequence[Example], batches: Sampler[list[int]] | list[list[int]], collate: Collate
    ) -> DataLoader[Any]:
        return DataLoader(
            Examples(examples),
            batch_sampler=batches,
            collate_fn=collate,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            multiprocessing_context="spawn" if self.num_workers else None,  # decord hangs in forked children
        )

    def transfer_batch_to_device(self, batch: Any, device: torch.device, index: int) -> PromptBatch:
        """The policy moves prompts itself, once, when it prepares them; bad input that a worker met is raised here."""
        return opened(batch)


def opened(batch: PromptBatch | UserError) -> PromptBatch:
    """The batch; raises what stands in its place."""
    if isinstance(batch, UserError):
        raise batch
    return batch
