"""Questions on the same image or video, answered from one prefill of what their prompts have in common.

A prompt is a head (the turn's beginning, the media, and the words behind them that all questions on these media share)
and a tail. All heads go through the vision tower and the prefill once, then all tails through one more forward pass
over the heads' cache; then the responses are sampled. They are the same as for questions asked one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import torch

from ral.data.marks import marks_in, user_texts
from ral.models.mllm import MLLM
from ral.models.processor import Processor, left_pad
from ral.models.states import Openings
from ral.rollout.decoding import length_buckets
from ral.rollout.engine import ContinuesPrefixes, Engine, Sampling
from ral.rollout.seeds import prompt_seeds
from ral.types import Example, Pixels, Prepared, PromptBatch

PLACES = 2.0
"""Most rows of a batch for each question in it: heads with unlike numbers of questions are padded with empty rows."""


@dataclass(frozen=True)
class Shared:
    """Prompts grouped by their common beginnings, the heads; the rest of each prompt is its tail.

    heads: a batch of heads. places: for each head the indices of its questions, in the order asked. tails: for each
    head the token ids of its questions' tails. uids, texts: uids and whole prompts of all questions, in the order
    asked.
    """

    heads: PromptBatch
    places: tuple[tuple[int, ...], ...]
    tails: tuple[tuple[tuple[int, ...], ...], ...]
    uids: tuple[str, ...]
    texts: tuple[str, ...]


def share(
    processor: Processor,
    examples: Sequence[Example],
    texts: Sequence[str],
    media: Sequence[Sequence[Pixels]],
    join: bool = True,
) -> Shared:
    """Return the prompts of the examples.

    With `join`, prompts on the same media share a head where the media come first. texts: the users' turns. media: the
    pixels of each example.
    """
    groups: dict[object, list[int]] = {}
    for n, example in enumerate(examples):
        in_front = join and not marks_in(user_texts(example, texts[n]))
        groups.setdefault((example.media, example.turns) if in_front and example.media else n, []).append(n)
    first = [places[0] for places in groups.values()]
    batch = processor.batch([examples[n] for n in first], [texts[n] for n in first], [media[n] for n in first])
    heads, tails, rendered = [], [], [""] * len(texts)
    for places, grids in zip(groups.values(), batch.grids, strict=True):
        made = [processor.prompt(examples[n], texts[n], media[n], grids) for n in places]
        rows = [ids for _, ids in made]
        length = common(rows)
        heads.append(rows[0][:length])
        tails.append(tuple(tuple(ids[length:]) for ids in rows))
        for n, (text, _) in zip(places, made, strict=True):
            rendered[n] = text
    ids, valid = left_pad(heads, processor.pad_id)
    joint = replace(batch, token_ids=ids, valid=valid, visual=processor.visual(ids, valid))
    assert int(joint.visual.sum()) == int(batch.visual.sum()), "a question stands before its picture or clip"
    uids = tuple(example.uid for example in examples)
    return Shared(joint, tuple(map(tuple, groups.values())), tuple(tails), uids, tuple(rendered))


def common(rows: Sequence[Sequence[int]]) -> int:
    """Return the length of the longest beginning that all rows of token ids have in common."""
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*rows, strict=False)))


def buckets(shared: Shared) -> list[list[int]]:
    """Return batches of heads (common beginnings of prompts, see `Shared`) to decode at once, each a list of indices.

    Heads of a batch have similar lengths, and each gets as many rows as the head with most questions; the rows of a
    batch are at most PLACES times its questions.
    """
    lengths, counts = shared.heads.valid.sum(1).tolist(), [len(places) for places in shared.places]
    found: list[list[int]] = []
    for bucket in length_buckets(lengths):
        parts: list[list[int]] = [[]]
        for n in sorted(bucket, key=lambda n: -counts[n]):
            part = [*parts[-1], n]
            if len(part) * counts[part[0]] > PLACES * sum(counts[m] for m in part):
                parts.append([n])
            else:
                parts[-1] = part
        found += parts
    return found


def openings(tails: Sequence[Sequence[Sequence[int]]], pad: int) -> Openings:
    """Return the tails of some heads as given tokens, with empty rows up to the largest number of questions of a head.

    tails: for each head, the token ids of its questions' tails. pad: id of the padding token.
    """
    group = max(map(len, tails))
    rows = [row for questions in tails for row in (*questions, *((),) * (group - len(questions)))]
    asked = [n < len(questions) for questions in tails for n in range(group)]
    longest = max(1, *map(len, rows))
    ids = torch.tensor([[*row, *(pad,) * (longest - len(row))] for row in rows])
    return Openings(ids, torch.tensor([len(row) for row in rows]), torch.tensor(asked))


@torch.no_grad()
def respond(engine: Engine, policy: MLLM, shared: Shared, sampling: Sampling, seed: int) -> list[tuple[str, bool]]:
    """Return (response, whether it ended before the length limit) for every question, in the order asked.

    For an engine that is not ContinuesPrefixes, `shared` must come from share(..., join=False).
    """
    prepared = policy.prepare(shared.heads)
    if isinstance(engine, ContinuesPrefixes):
        return continued(engine, prepared, shared, sampling, seed, policy.processor.pad_id)
    assert len(shared.heads) == len(shared.texts), "questions were joined for an engine that continues no prefixes"
    rollout = engine.generate(prepared, 1, sampling, seed)
    return list(zip(rollout.texts, rollout.finished.tolist(), strict=True))


def continued(
    engine: ContinuesPrefixes, prepared: Prepared, shared: Shared, sampling: Sampling, seed: int, pad: int
) -> list[tuple[str, bool]]:
    """Return the same as `respond`, for an engine that continues prefilled heads with tails.

    pad: id of the padding token.
    """
    seeds, answers = prompt_seeds(shared.uids, seed), [("", False)] * len(shared.texts)
    for bucket in buckets(shared):
        given = openings([shared.tails[n] for n in bucket], pad)
        places = torch.full(given.lengths.shape, -1)
        places[given.asked] = torch.tensor([place for n in bucket for place in shared.places[n]])
        own = [seeds[place] if place >= 0 else 0 for place in places.tolist()]
        rollout = engine.continue_prefixes(prepared.take(bucket), given, sampling, own)
        for row, place in enumerate(places.tolist()):
            if place >= 0:
                answers[place] = rollout.texts[row], bool(rollout.finished[row])
    return answers
