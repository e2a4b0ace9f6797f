"""The data as a LightningDataModule: which prompts a step gets depends on seed, step and data alone."""

from __future__ import annotations

import signal
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from typing import Any, TypeVar

import lightning as L
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, Sampler

from ral.data.bad import Bad, BadSample, Ledger, any_use
from ral.data.evidence import evidence_mask
from ral.data.media import MediaReader
from ral.data.order import Drawn, Epochs, HeldOut, Sample, Samples, StepSampler, Training
from ral.data.prompts import check_places, render, target
from ral.lit.handover import Handover, Waiting, only_while_waiting
from ral.models.processor import Processor
from ral.types import IMAGE_MARK, VIDEO_MARK, Example, PromptBatch, UserError

T = TypeVar("T")


def fraction(uid: str) -> float:
    """A number in [0, 1) that depends on the uid alone, to deal entries out in fixed shares."""
    return zlib.crc32(uid.encode()) / 2**32


def gather(value: T) -> list[T]:
    """The values of all ranks, in their order."""
    if not (dist.is_available() and dist.is_initialized()):
        return [value]
    everyone: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, value)
    return everyone


def together(call: Callable[[], T]) -> T:
    """call() on every rank; a UserError of one is raised on all: one that left alone would have the others hang."""
    result, error = None, None
    try:
        result = call()
    except UserError as raised:
        error = raised
    if messages := [message for message in gather(error and str(error)) if message]:
        raise error or UserError(messages[0])
    return result  # type: ignore[return-value]


class Abandoned(Exception):
    """An evaluation was given up because of a signal, whose number this holds."""


class Loader(DataLoader[Any]):
    """Its workers never get Ctrl-C or a scheduler's signals, which reach every process of a run: the main one decides.

    They inherit what is blocked here, so this holds while they start, too. One that ends is a UserError; where shared
    memory is too small for a batch, it is sent by value.
    """

    def __init__(self, samples: Any, *, collate_fn: Callable[[Any], Any], num_workers: int, **options: Any) -> None:
        collate_fn = Handover(collate_fn) if num_workers else collate_fn
        super().__init__(samples, collate_fn=collate_fn, num_workers=num_workers, **options)

    def __iter__(self) -> Any:
        blocked = {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1}
        resource_tracker.ensure_running()  # its start would unblock two of them
        before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        try:
            batches: Any = super().__iter__()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if self.num_workers == 0:
            return batches
        only_while_waiting()
        return Waiting(batches)


@dataclass(frozen=True)
class Batch:
    """What a worker hands over: prompts (None where nothing was usable), entries tried, and the bad ones among them.

    empty: places for which no candidate was usable. error: what else was wrong; a worker would bury it in a traceback.
    """

    prompts: PromptBatch | None = None
    drawn: int = 0
    bad: tuple[Bad, ...] = ()
    empty: int = 0
    error: str | None = None


@dataclass(frozen=True)
class Collate:
    """Samples -> Batch, in the worker: prompts worded, targets added for supervised fine-tuning.

    templates: wording of the user's turn with and without thinking; answer_only_share: of targets without thinking.
    preferences: whether the run trains on pairs of responses instead of gold answers. scorable(example): BadSample for
    a gold answer that no response could be scored against. max_new_tokens: of a response that is sampled.
    """

    processor: Processor
    templates: tuple[str, str]
    thinking: bool
    answer_only_share: float = 0.0
    targets: bool = False
    preferences: bool = False
    scorable: Callable[[Example], object] = any_use
    max_new_tokens: int = 0

    def __call__(self, drawn: Sequence[Drawn]) -> Batch:
        """The batch of the places that gave a sample."""
        samples = [d.sample for d in drawn if d.sample is not None]
        bad = tuple(b for d in drawn for b in d.bad)
        for problem in (d.error for d in drawn if d.error):
            return Batch(error=problem)
        try:
            prompts = self.prompts(samples) if samples else None
        except UserError as error:
            return Batch(error=str(error))
        return Batch(prompts, len(samples) + len(bad), bad, len(drawn) - len(samples))

    def check(self, example: Example) -> None:
        """BadSample for an example that this run has no use for."""
        place = example.source or example.uid
        if self.preferences and example.chosen is None:
            problem = "field 'chosen': missing, and this run trains on preferences"
            raise BadSample(place, problem, "write chosen and rejected (scripts/make_preferences.py makes pairs)")
        if not self.preferences and not example.answer:
            raise BadSample(place, "field 'answer': missing, and this run needs it", "write the gold answer")
        texts = [("question", "\n".join((example.question, *example.options)), False)]
        texts += [(f"{turn.role} turn", turn.text, turn.role != "user") for turn in example.turns]
        if self.preferences:
            texts += [("chosen", example.chosen or "", True), ("rejected", example.rejected or "", True)]
        elif self.targets:
            texts.append(("response", target(example, self.thinks(example)), True))
        else:
            self.scorable(example)
            texts.append((f"answer in field '{example.answer_field}'", example.answer, True))
        for name, text, response in texts:
            if found := self.processor.intruder(text, response=response):
                marks = f" ({IMAGE_MARK} and {VIDEO_MARK} say where media stand)" if "placeholder" in found else ""
                raise BadSample(place, f"the {name} holds the {found}", f"take it out{marks}")
        check_places(example, self.word(example))

    def fits(self, sample: Sample) -> None:
        """BadSample for a prompt that is, with its response, longer than the network has positions."""
        example = sample.example
        self.processor.check_length(example, self.word(example), sample.media, self.response_tokens(example))

    def response_tokens(self, example: Example) -> int:
        """Tokens of the longest response to an example that this run deals with."""
        if self.preferences:
            given = [example.chosen or "", example.rejected or ""]
        elif self.targets:
            given = [target(example, self.thinks(example))]
        else:
            return self.max_new_tokens
        return max(len(self.processor.response_ids(text)) for text in given)

    def word(self, example: Example) -> str:
        """The text of the user's last turn."""
        return render(example, self.templates[0 if self.thinks(example) else 1])

    def thinks(self, example: Example) -> bool:
        """Whether an example is worded with thinking."""
        return self.thinking and not (self.targets and fraction(example.uid) < self.answer_only_share)

    def prompts(self, samples: Sequence[Sample]) -> PromptBatch:
        """Prompts; with responses to learn, these longest last, so that micro-batches hold little padding."""
        if not self.targets:
            return self.batch(samples)
        samples = sorted(samples, key=lambda s: self.response_tokens(s.example))
        return replace(self.batch(samples), targets=tuple(target(s.example, self.thinks(s.example)) for s in samples))

    def batch(self, samples: Sequence[Sample]) -> PromptBatch:
        """Prompts, each worded with or without thinking."""
        examples, media = [s.example for s in samples], [s.media for s in samples]
        texts = [self.word(example) for example in examples]
        prompts = self.processor.batch(examples, texts, media)
        frames_per_slot = self.processor.patches.temporal_patch_size
        return replace(prompts, evidence=evidence_mask(prompts, media, frames_per_slot))


class PromptData(L.LightningDataModule):
    """Prompts of a dataset for training steps and for evaluation.

    source(split=...) -> examples; train_split: "train", or "sft" with targets; evaluation is on "validation".
    collate makes batches of training prompts; evaluation uses it without targets. ledger: of the entries that cannot
    be used.
    """

    def __init__(
        self,
        source: Callable[..., Sequence[Example]],
        reader: MediaReader,
        collate: Collate,
        ledger: Ledger,
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
        self.source, self.reader, self.collate, self.ledger = source, reader, collate, ledger
        self.train_split, self.seed = train_split, seed
        self.prompts_per_step, self.max_steps = prompts_per_step, max_steps
        self.evaluation_prompts, self.evaluation_batch = evaluation_prompts, evaluation_batch
        self.num_workers = num_workers
        self.first_step = 0
        self.train: Sequence[Example] = []
        self.validation: Sequence[Example] = []

    def load(self) -> None:
        """Open the two splits. UserError where one is empty."""
        self.train = self.source(split=self.train_split)
        self.validation = self.source(split="validation")
        for split, examples in ((self.train_split, self.train), ("validation", self.validation)):
            if not examples:
                raise UserError(f"dataset: its {split} split is empty: name another dataset.path or a larger limit")

    def train_dataloader(self) -> DataLoader[Any]:
        """Steps first_step..max_steps of this rank."""
        assert self.trainer is not None
        rank, ranks = self.trainer.global_rank, self.trainer.world_size
        steps = StepSampler(self.prompts_per_step, self.first_step, self.max_steps, rank=rank, ranks=ranks)
        candidates = Training(Epochs(len(self.train), self.seed), self.prompts_per_step)
        return self._loader(
            Samples(self.train, self.reader, self.collate.check, candidates, self.collate.fits), steps, self.collate
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """This rank's share of the held-out prompts, in order."""
        assert self.trainer is not None
        count, collate = min(self.evaluation_prompts, len(self.validation)), replace(self.collate, targets=False)
        mine = list(range(self.trainer.global_rank, count, self.trainer.world_size))
        batches = [mine[i : i + self.evaluation_batch] for i in range(0, len(mine), self.evaluation_batch)]
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
            multiprocessing_context="spawn" if self.num_workers else None,  # decoders do not survive a fork
        )

    def held_out(self, signalled: Callable[[], int | None]) -> Iterator[tuple[PromptBatch, bool]]:
        """This rank's batches of held-out prompts, as many on every rank: (prompts, whether they are its own).

        Passes over sharded weights need all ranks, so one that runs out repeats a batch. signalled: of this rank;
        Abandoned is raised on all where one was. UserError at the end where too many entries were bad.
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
        self.count("validation", len(self.validation), found)

    def _usable(self, found: list[Batch]) -> Iterator[PromptBatch]:
        """This rank's batches that hold prompts; all of them, without these, are added to `found`."""
        for batch in self.val_dataloader():
            found.append(replace(batch, prompts=None))
            if batch.prompts is not None:
                yield batch.prompts

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, index: int) -> PromptBatch:
        """A training batch once its bad entries are counted. The policy moves the prompts itself."""
        self.count(self.train_split, len(self.train), [replace(batch, prompts=None)])
        assert batch.prompts is not None  # count() lets no empty batch pass
        return batch.prompts

    def count(self, split: str, size: int, batches: Sequence[Batch]) -> None:
        """Enter batches of all ranks into the ledger: all of them raise the same UserError, or none does."""
        everyone = [batch for of_rank in gather(list(batches)) for batch in of_rank]
        for error in (batch.error for batch in everyone if batch.error):
            raise UserError(error)
        bad = [b for batch in everyone for b in batch.bad]
        self.ledger.add(split, size, sum(batch.drawn for batch in everyone), bad)
        lost = sum(batch.empty for batch in everyone)
        none = not any(batch.drawn > len(batch.bad) for batch in everyone)
        if none or (split == self.train_split and lost):
            raise UserError(f"dataset: no usable entry near the bad ones of the {split} split; {bad[-1].message}")
