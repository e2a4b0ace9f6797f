"""A benchmark's items become judged answers, a batch at a time; the media of the next batch are decoded meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch

from ral.data.bad import BadSample
from ral.data.media import MediaReader
from ral.data.prompts import check_places
from ral.evaluation.benchmarks.changed import ITEM_HASH, item_hash
from ral.evaluation.benchmarks.items import Item, ItemJudge
from ral.evaluation.benchmarks.items_file import Answered
from ral.evaluation.looked import looked
from ral.evaluation.shared_questions import Shared, respond, share
from ral.models.mllm import MLLM
from ral.rollout.engine import ContinuesPrefixes, Engine, Sampling
from ral.types import Example, Pixels, UserError


@dataclass(frozen=True)
class Question:
    """An item of a benchmark, ready to be asked.

    index: its position in the benchmark. item: None where it could not be read. text: the user's turn. media: pixels of
    its images and videos. error: why the item cannot be asked; None where it can.
    """

    index: int
    item: Item | None
    text: str = ""
    media: tuple[Pixels, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class Asked:
    """A batch of questions. shared: prompts of the questions without error, in their order; None where all have one."""

    questions: Sequence[Question]
    shared: Shared | None


@dataclass(frozen=True)
class Asking:
    """A policy that prepares prompts, and an engine that samples responses to them with `sampling` and `seed`."""

    policy: MLLM
    engine: Engine
    sampling: Sampling
    seed: int = 0

    @property
    def joins(self) -> bool:
        """Tell whether questions about the same media may share a prefill."""
        return self.policy.shares and isinstance(self.engine, ContinuesPrefixes)

    def __call__(self, shared: Shared) -> list[tuple[str, bool]]:
        """Return (response, whether it ended before the length limit) for every question, in the order asked."""
        return respond(self.engine, self.policy, shared, self.sampling, self.seed)


@dataclass(frozen=True)
class Answering:
    """Function that answers the items of a benchmark: it reads their media, asks the policy and judges the responses.

    name: the benchmark. word: a function from an example to the text of the user's turn. judge: scores a response.
    looks: decoder layer whose attention is measured; None for no measurement. in_words: a function from an error on
    data, which names settings of training, to one that names settings of the evaluation.
    """

    items: Sequence[Item]
    name: str
    asking: Asking
    reader: MediaReader
    word: Callable[[Example], str]
    judge: ItemJudge
    looks: int | None = None
    in_words: Callable[[str], str] = str

    def __call__(self, batches: Iterable[Sequence[int]]) -> Iterator[list[Answered]]:
        """Yield the judged answers to each batch. batches: indices of items.

        UserError where the GPU is out of memory.
        """
        with ThreadPoolExecutor(1) as pool:
            waiting = None
            for batch in batches:
                waiting, ready = pool.submit(self.ask, batch), waiting
                if ready is not None:
                    yield self.answer(ready.result())
            if waiting is not None:
                yield self.answer(waiting.result())

    def ask(self, batch: Sequence[int]) -> Asked:
        """Return the questions of a batch with their media, and the prompts of those without error.

        batch: indices of items.
        """
        questions = [self.question(index) for index in batch]
        good = [q for q in questions if q.error is None and q.item is not None]
        if not good:
            return Asked(questions, None)
        examples = [q.item.example for q in good if q.item is not None]
        texts, media = [q.text for q in good], [q.media for q in good]
        return Asked(questions, share(self.asking.policy.processor, examples, texts, media, self.asking.joins))

    def question(self, index: int) -> Question:
        """Return the item at a position as a question with text and media; with `error` where it cannot be asked."""
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
            return Question(index, item, error=self.in_words(str(error)))

    @torch.no_grad()
    def answer(self, asked: Asked) -> list[Answered]:
        """Sample the responses to a batch and judge them; return a record for each question.

        UserError where the GPU is out of memory.
        """
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
        """Return the record, with measures of the response's attention where `self.looks` names a layer.

        A question with an error has none.
        """
        if self.looks is None or question.item is None or question.error is not None:
            return answered
        policy, example = self.asking.policy, question.item.example
        found = looked(policy, example, question.text, question.media, answered.response, self.looks)
        return replace(answered, looks=found)

    def judged(self, question: Question, prompt: str, answer: tuple[str, bool], seconds: float) -> Answered:
        """Judge a response and return its record.

        prompt: the whole prompt, as the model reads it. answer: (response, whether it ended before the length limit).
        seconds: this question's share of the batch's time.
        """
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
            facts={**item.facts, ITEM_HASH: item_hash(item)},
        )

    def failed(self, question: Question) -> Answered:
        """Return the record of an item that could not be asked, with its error and score 0."""
        item = question.item
        uid, group = (item.example.uid, item.group) if item else (f"{self.name}-{question.index + 1}", "")
        gold = (list(item.answers) or item.example.answer) if item else ""
        facts = dict(item.facts) if item else {}
        return Answered(question.index, uid, group, "", "", "", gold, 0.0, 0.0, False, question.error, facts)
