"""The data as a LightningDataModule: the prompts of a step depend on seed, step and data alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader, Sampler

from ral.data.bad import Ledger
from ral.data.media import MediaReader
from ral.data.order import Epochs, HeldOut, StepSampler, Training
from ral.data.samples import Samples
from ral.learner.collate import Batch, Collate
from ral.learner.loader import Loader
from ral.learner.ranks import gather
from ral.types import Example, PromptBatch, UserError

VALIDATION = "validation"
"""The split whose prompts are held out for evaluation."""


class Abandoned(Exception):
    """Raised where a signal ends an evaluation; args[0] is the signal's number."""


@dataclass(frozen=True)
class Steps:
    """Steps of a training run: steps first to last - 1, with prompts of `split` in an order drawn from `seed`.

    prompts_per_step: number of prompts over all ranks.
    """

    split: str
    prompts_per_step: int
    last: int
    seed: int
    first: int = 0


@dataclass(frozen=True)
class Evaluation:
    """Held-out prompts: the first `prompts` of the validation split, `batch` at a time on each rank.

    asked: whether the user set the number of prompts, so that fewer are worth a warning.
    """

    prompts: int
    batch: int
    asked: bool = True


class PromptData(L.LightningDataModule):
    """Prompts of a dataset for training steps and for evaluation.

    source: function (split=...) -> examples. reader: reads images and videos. collate: makes batches; evaluations make
    them without targets. ledger: counter of bad entries. num_workers: number of worker processes, 0 to read in this
    process; read_ahead: most batches that each worker reads ahead. `load` opens the splits.
    """

    def __init__(
        self,
        source: Callable[..., Sequence[Example]],
        reader: MediaReader,
        collate: Collate,
        ledger: Ledger,
        *,
        steps: Steps,
        evaluation: Evaluation,
        num_workers: int = 0,
        read_ahead: int = 2,
    ) -> None:
        super().__init__()
        self.source, self.reader, self.collate, self.ledger = source, reader, collate, ledger
        self.steps, self.evaluation = steps, evaluation
        self.num_workers, self.read_ahead = num_workers, read_ahead
        self.train: Sequence[Example] = []
        self.validation: Sequence[Example] = []
        self.told: set[str] = set()

    def load(self) -> None:
        """Open the two splits. UserError where one is empty or cannot be read."""
        self.train = self.source(split=self.steps.split)
        self.validation = self.source(split=VALIDATION)
        for split, examples in self.splits():
            if not examples:
                raise UserError(f"dataset: its {split} split is empty: name another dataset.path or a larger limit")

    def splits(self) -> list[tuple[str, Sequence[Example]]]:
        """Return (name, examples) of the two splits: that of training, and the held-out one."""
        return [(self.steps.split, self.train), (VALIDATION, self.validation)]

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the loader of this rank's share of each training step."""
        assert self.trainer is not None
        rank, ranks = self.trainer.global_rank, self.trainer.world_size
        plan = self.steps
        steps = StepSampler(plan.prompts_per_step, plan.first, plan.last, rank=rank, ranks=ranks)
        self.tell(crowded(plan.prompts_per_step, len(self.train), plan.split))
        candidates = Training(Epochs(len(self.train), plan.seed), plan.prompts_per_step)
        return self._loader(
            Samples(self.train, self.reader, self.collate.check, candidates, self.collate.fits), steps, self.collate
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """Return the loader of this rank's share of the held-out prompts, in order."""
        assert self.trainer is not None
        count, collate = min(self.evaluation.prompts, len(self.validation)), replace(self.collate, targets=False)
        size = self.evaluation.batch
        mine = list(range(self.trainer.global_rank, count, self.trainer.world_size))
        batches = [mine[i : i + size] for i in range(0, len(mine), size)]
        candidates = HeldOut(len(self.validation), count)
        samples = Samples(self.validation, self.reader, collate.check, candidates, collate.fits)
        return self._loader(samples, batches, collate)

    def _loader(self, samples: Samples, batches: Sampler[list[int]] | list[list[int]], collate: Collate) -> Any:
        return Loader(
            samples,
            batch_sampler=batches,
            collate_fn=collate,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            prefetch_factor=self.read_ahead if self.num_workers else None,
            multiprocessing_context="spawn" if self.num_workers else None,  # decoders do not survive a fork
        )

    def held_out(self, signalled: Callable[[], int | None]) -> Iterator[tuple[PromptBatch, bool]]:
        """Yield (prompts, whether they count) for this rank's batches of held-out prompts, equally many on every rank.

        Passes over sharded weights need all ranks, so that a rank without a further batch repeats one, which does not
        count. signalled: function that returns the number of a signal to this rank, else None; where a rank has one,
        Abandoned is raised on all. UserError where too many entries are bad, none is usable, or a worker failed.
        """
        found: list[Batch] = []
        batches, filler = self._usable(found), None
        while True:
            prompts = next(batches, None)
            everyone = gather((prompts is not None, filler is None, signalled()))
            if numbers := [number for *_, number in everyone if number is not None]:
                raise Abandoned(numbers[0])
            if not any(own for own, *_ in everyone):
                break
            if any(not own and empty for own, empty, _ in everyone):  # a rank without a single batch borrows one
                filler = next(lent for lent in gather(prompts) if lent is not None)
            filler = prompts or filler
            assert filler is not None
            yield filler, prompts is not None
        lost = self.count(VALIDATION, len(self.validation), found)
        there = min(self.evaluation.prompts, len(self.validation))
        self.tell(short(self.evaluation.prompts if self.evaluation.asked else there, there, there - lost))

    def tell(self, line: str | None) -> None:
        """Print a warning on rank 0, each line once in a run; do nothing where `line` is None."""
        assert self.trainer is not None
        if line is not None and line not in self.told and self.trainer.is_global_zero:
            self.told.add(line)
            print(f"warning: {line}", file=sys.stderr, flush=True)

    def _usable(self, found: list[Batch]) -> Iterator[PromptBatch]:
        """Yield the prompts of this rank's batches that hold any; add all batches, without prompts, to `found`."""
        for batch in self.val_dataloader():
            found.append(replace(batch, prompts=None))
            if batch.prompts is not None:
                yield batch.prompts

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, index: int) -> PromptBatch:
        """Count the bad entries of a training batch; return its prompts, on the CPU: the policy moves them itself."""
        self.count(self.steps.split, len(self.train), [replace(batch, prompts=None)])
        assert batch.prompts is not None  # count() lets no empty batch pass
        return batch.prompts

    def count(self, split: str, size: int, batches: Sequence[Batch]) -> int:
        """Add the batches of all ranks to the ledger; return the number of places without a usable entry.

        batches: this rank's; every rank must call it. size: entries of the split. UserError, on all ranks, for an error
        in a worker, for too many bad entries, for no usable one, and for an empty place in a training step.
        """
        everyone = [batch for of_rank in gather(list(batches)) for batch in of_rank]
        for error in (batch.error for batch in everyone if batch.error):
            raise UserError(error)
        bad = [b for batch in everyone for b in batch.bad]
        self.ledger.add(split, size, sum(batch.drawn for batch in everyone), bad)
        lost = sum(batch.empty for batch in everyone)
        none = not any(batch.drawn > len(batch.bad) for batch in everyone)
        if none or (split == self.steps.split and lost):
            raise UserError(f"dataset: no usable entry near the bad ones of the {split} split; {bad[-1].message}")
        return lost


def short(asked: int, there: int, usable: int) -> str | None:
    """Return a warning where fewer held-out prompts are evaluated than were asked for; None where all are.

    asked: number of prompts asked for. there: how many of them the split holds. usable: how many of these were
    evaluated.
    """
    if usable == asked:
        return None
    why = [f"the validation split holds {there}"] if there < asked else []
    why += [f"{there - usable} cannot be used and have no stand-in (bad_samples.jsonl)"] if usable < there else []
    said = f"eval.prompts={asked}, but {usable} are evaluated: {', '.join(why)}"
    return f"{said}; {'mend these' if usable < there else f'write eval.prompts={usable}'}, or add entries"


def crowded(prompts: int, there: int, split: str) -> str | None:
    """Return a warning where a step reads more prompts than its split holds entries, so that some are in it twice.

    prompts: number of a step, over all ranks. there: entries of the split. None where there are enough.
    """
    if prompts <= there:
        return None
    said = f"a step reads {prompts} prompts, and the {split} split holds {there} entries, so that some are in it twice"
    return f"{said}; write algo.prompts_per_step={there} or less, or add entries"
