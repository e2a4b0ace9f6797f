"""A benchmark's items -> judged answers, batch after batch; the next batch's media are decoded meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch

from ral.data.bad import BadSample
from ral.data.media import MediaReader
from ral.data.prompts import check_places
from ral.evaluation.benchmarks.items import Item, ItemJudge
from ral.evaluation.benchmarks.items_file import Answered
from ral.evaluation.looked import looked
from ral.evaluation.shared_questions import Shared, respond, share
from ral.models.mllm import MLLM
from ral.rollout.engine import ContinuesPrefixes, Engine, Sampling
from ral.types import Example, Pixels, UserError


@dataclass(frozen=True)
class Question:
    """An item that is ready to be asked (text, media), or why it cannot be (error; then the item may be missing)."""

    index: int
    item: Item | None
    text: str = ""
    media: tuple[Pixels, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class Asked:
    """A batch of items; shared: the prompts of those without error, in their order, None where there are none."""

    questions: Sequence[Question]
    shared: Shared | None


@dataclass(frozen=True)
class Asking:
    """The policy and engine that answer: the policy reads the prompts, the engine answers them."""

    policy: MLLM
    engine: Engine
    sampling: Sampling
    seed: int = 0

    @property
    def joins(self) -> bool:
        """Tell whether questions on the same media may share a prefill."""
        return self.policy.shares and isinstance(self.engine, ContinuesPrefixes)

    def __call__(self, shared: Shared) -> list[tuple[str, bool]]:
        """Return response and whether it is finished of every question, in the order asked."""
        return respond(self.engine, self.policy, shared, self.sampling, self.seed)


@dataclass(frozen=True)
class Answering:
    """Settings that decide the answers to a benchmark's items. word(example): the text of the user's turn.

    looks: the decoder layer by which it is measured where answers look, None for no measure.
    """

    items: Sequence[Item]
    name: str
    asking: Asking
    reader: MediaReader
    word: Callable[[Example], str]
    judge: ItemJudge
    looks: int | None = None

    def __call__(self, batches: Iterable[Sequence[int]]) -> Iterator[list[Answered]]:
        """Yield the answers to the items at some positions, a batch at a time."""
        with ThreadPoolExecutor(1) as pool:
            waiting = None
            for batch in batches:
                waiting, ready = pool.submit(self.ask, batch), waiting
                if ready is not None:
                    yield self.answer(ready.result())
            if waiting is not None:
                yield self.answer(waiting.result())

    def ask(self, batch: Sequence[int]) -> Asked:
        """Word the questions and read their media."""
        questions = [self.question(index) for index in batch]
        good = [q for q in questions if q.error is None and q.item is not None]
        if not good:
            return Asked(questions, None)
        examples = [q.item.example for q in good if q.item is not None]
        texts, media = [q.text for q in good], [q.media for q in good]
        return Asked(questions, share(self.asking.policy.processor, examples, texts, media, self.asking.joins))

    def question(self, index: int) -> Question:
        """Return one item, worded and with its media; an item that cannot be asked says why."""
        item, processor = None, self.asking.policy.processor
        try:
            item = self.items[index]
            text = self.word(item.example)
            if found := processor.intruder(text):
                raise BadSample(item.example.uid, f"the question holds the {found}", "take it out")
            check_places(item.example, text)
            media = tuple(self.reader.read(m) for m in item.example.media)
            processor.check_length(item.example, text, media, self.asking.sampling.max_new_tokens, "media")
            return Question(index, item, text, media)
        except BadSample as error:
            return Question(index, item, error=str(error))

    @torch.no_grad()
    def answer(self, asked: Asked) -> list[Answered]:
        """Decode and judge a batch."""
        started = time.perf_counter()
        answers: list[tuple[str, bool]] = []
        if asked.shared is not None:
            try:
                answers = self.asking(asked.shared)
            except torch.OutOfMemoryError as error:
                ways = "a smaller batch, media.max_frames, media.image_max_pixels or max_new_tokens"
                raise UserError(f"out of GPU memory with batch={len(asked.questions)}: write {ways}") from error
        seconds = (time.perf_counter() - started) / len(asked.questions)
        said = iter(zip(asked.shared.texts if asked.shared else (), answers, strict=True))
        found = [self.judged(q, *next(said), seconds) if q.error is None else self.failed(q) for q in asked.questions]
        return [self.looked(q, one) for q, one in zip(asked.questions, found, strict=True)]

    def looked(self, question: Question, answered: Answered) -> Answered:
        """Add where the response looks, if that is measured."""
        if self.looks is None or question.item is None or question.error is not None:
            return answered
        policy, example = self.asking.policy, question.item.example
        found = looked(policy, example, question.text, question.media, answered.response, self.looks)
        return replace(answered, looks=found)

    def judged(self, question: Question, prompt: str, answer: tuple[str, bool], seconds: float) -> Answered:
        """Return the record of a response."""
        item, (response, finished) = question.item, answer
        assert item is not None
        verdict = self.judge(item, response)
        return Answered(
            index=question.index,
            uid=item.example.uid,
            group=item.group,
            prompt=prompt,
            response=response,
            answer=verdict.answer,
            gold=list(item.answers) or item.example.answer,
            score=float(verdict.score),
            seconds=round(seconds, 4),
            finished=finished,
            error=None,
            facts=dict(item.facts),
        )

    def failed(self, question: Question) -> Answered:
        """Return the record of an item that could not be asked: score 0."""
        item = question.item
        uid, group = (item.example.uid, item.group) if item else (f"{self.name}-{question.index + 1}", "")
        gold = (list(item.answers) or item.example.answer) if item else ""
        facts = dict(item.facts) if item else {}
        return Answered(question.index, uid, group, "", "", "", gold, 0.0, 0.0, False, question.error, facts)
