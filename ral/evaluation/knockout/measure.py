"""Greedy answers under every condition, written as they come, so that an interrupted knockout can be resumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from ral.evaluation.knockout.conditions import Condition
from ral.evaluation.knockout.cuts import cut_of
from ral.files import jsonl
from ral.models.mllm import MLLM
from ral.rewards.accuracy import accuracy
from ral.rollout.engine import Sampling
from ral.rollout.native import NativeEngine
from ral.types import Prepared, PromptBatch, UserError

EXACT = 1.0
"""Least accuracy of an answer that counts as right."""


Key = tuple[str, str, int, str]
"""(name of the condition, label of its layers, draw, uid)"""


@dataclass(frozen=True)
class Answer:
    """A line of answers.jsonl: a question's greedy answer under a condition, and whether it is right.

    condition: name of the condition (`Condition.name`). layers: label of the layers that are cut. draw: number of the
    placebo.
    """

    condition: str
    layers: str
    draw: int
    uid: str
    right: bool
    response: str

    @property
    def key(self) -> Key:
        """Return the key of the answer: condition, layers, draw, uid."""
        return self.condition, self.layers, self.draw, self.uid


def key_of(condition: Condition, uid: str) -> Key:
    """Return the key of the answer to question `uid` under a condition."""
    return condition.name, condition.where, condition.draw, uid


def read(path: Path) -> dict[Key, Answer]:
    """Return {key: answer} of the file; {} where there is none.

    UserError for a file with anything but answers of a knockout.
    """
    try:
        found = [Answer(**line) for line in jsonl.read(path)]
    except TypeError as error:
        raise UserError(f"{path}: holds lines that are no answers of a knock-out; write another output") from error
    return {answer.key: answer for answer in found}


def line_of(answer: Answer) -> str:
    """Return an answer as a line of JSON, with its line break."""
    return json.dumps(asdict(answer), ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Knockout:
    """Settings of a knockout. policy: the model. sampling: has to be greedy. seed: decides the placebos."""

    policy: MLLM
    conditions: Sequence[Condition]
    sampling: Sampling
    seed: int

    @torch.no_grad()
    def answers(self, prompts: PromptBatch, done: dict[Key, Answer]) -> Iterator[list[Answer]]:
        """Yield the answers to a batch, one list for each condition. The vision tower runs at most once.

        done: known answers. A condition is answered anew for the whole batch unless all of its answers are known.
        """
        prepared = None
        uids = [example.uid for example in prompts.examples]
        for condition in self.conditions:
            found = [done.get(key_of(condition, uid)) for uid in uids]
            if all(answer is not None for answer in found):
                yield [answer for answer in found if answer is not None]
                continue
            prepared = self.policy.prepare(prompts) if prepared is None else prepared
            cut = cut_of(prompts, condition, self.seed)
            yield self.answer(replace(prepared, cut=None if cut is None else cut.to(self.policy.device)), condition)

    def answer(self, prepared: Prepared, condition: Condition) -> list[Answer]:
        """Return the greedy answers to a batch under one condition. prepared: the batch, with that condition's cut."""
        rollout = NativeEngine(self.policy).generate(prepared, 1, self.sampling, self.seed)
        where = condition.name, condition.where, condition.draw
        pairs = zip(prepared.prompts.examples, rollout.texts, strict=True)
        return [Answer(*where, e.uid, accuracy(e, text) >= EXACT, text) for e, text in pairs]


def measure(
    knockout: Knockout, batches: Iterable[PromptBatch], path: Path, advance: Callable[[int], None]
) -> list[Answer]:
    """Return the answers to all batches.

    New ones are appended to `path` as they come; those in the file are not asked again. advance: called with the number
    of answers, after each condition of each batch.
    """
    done, found = read(path), []
    draft = path.with_suffix(".tmp")
    draft.write_text("".join(map(line_of, done.values())), encoding="utf-8")  # without a line that was cut off
    draft.replace(path)
    with path.open("a", encoding="utf-8") as file:
        for prompts in batches:
            for answers in knockout.answers(prompts, done):
                new = [a for a in answers if a.key not in done]
                file.writelines(map(line_of, new))
                file.flush()
                found += answers
                advance(len(answers))
    return found
