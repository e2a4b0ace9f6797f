"""Dynamic sampling: prompts whose responses all have one reward teach nothing and are replaced by further prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ral.learner.ranks import gather, together
from ral.models.processor import Processor
from ral.rollout.seeds import hash_seed
from ral.rollout.single_answers import joined_buckets
from ral.types import Prepared, Rollout, Scores, UserError

Answered = tuple[Rollout, Scores]
"""Responses to some prompts, and their scores."""


@dataclass(frozen=True)
class Redraw:
    """Choice of a prompt for each place of a batch: the first of `rounds` candidates whose responses differ in reward.

    DAPO (arXiv 2503.14476), section 3.2, Eq. 11, draws until the batch is full. Here each place has a bound, after
    which its last prompt stays although its responses have one reward. So the prompt of a place depends on seed, step
    and its own candidates, not on how places are dealt to ranks.
    """

    rounds: int = 3

    def batch(self, drawn: int) -> int:
        """Return the number of places of a batch for which `drawn` = rounds * places prompts were read."""
        return drawn // self.rounds

    def __call__(
        self, prepared: Prepared, seed: int, answer: Callable[[Prepared, int], Answered], processor: Processor
    ) -> tuple[Prepared, Rollout, Scores, int]:
        """Return the B chosen prompts, their responses and scores, and the number of prompts that were tried.

        prepared: rounds * B prompts, first the B of round 0. answer: function of prompts and a seed that returns their
        responses and scores. Every rank must call it; all make the same number of rounds. A UserError of `answer`, and
        that for responses of several turns, is raised on all ranks.
        """
        places = self.batch(len(prepared))
        open_places, taken, parts = list(range(places)), [0] * places, list[Answered]()
        where: list[list[int]] = []
        for turn in range(self.rounds):
            if not any(gather(bool(open_places))):
                break
            found = together(partial(self.answered, prepared, list(open_places), turn, seed, answer, places))
            for place in open_places:
                taken[place] = turn
            if found is not None:
                parts.append(found)
                where.append(list(open_places))
                signal = with_signal(found[1].reward.view(len(open_places), -1)).tolist()
                open_places = [place for place, has in zip(open_places, signal, strict=True) if not has]
        chosen = prepared.take([taken[place] * places + place for place in range(places)])
        kept = [[n for n, place in enumerate(p) if taken[place] == turn] for turn, p in enumerate(where)]
        rollout, scores = joined(processor, chosen, parts, kept, where)
        return chosen, rollout, scores, sum(len(p) for p in where)

    @staticmethod
    def answered(
        prepared: Prepared,
        open_places: Sequence[int],
        turn: int,
        seed: int,
        answer: Callable[[Prepared, int], Answered],
        places: int,
    ) -> Answered | None:
        """Return responses and scores of round `turn` for the open places; None where no place is open.

        prepared: the prompts of all rounds, `places` of each. UserError for responses of several turns.
        """
        if not open_places:
            return None
        part = prepared.take([turn * places + place for place in open_places])
        rollout, scores = answer(part, seed if turn == 0 else hash_seed(seed, turn))
        if rollout.shown is not None:
            raise UserError("algo.redraw: these answers are turns of several, not single ones: write algo.redraw=null")
        return rollout, scores


def with_signal(rewards: Tensor) -> Tensor:
    """Tell which groups have responses of different reward: [B G] -> [B] bool. DAPO (arXiv 2503.14476), Eq. 11."""
    return rewards.amax(1) != rewards.amin(1)


def joined(
    processor: Processor,
    chosen: Prepared,
    parts: Sequence[Answered],
    kept: Sequence[Sequence[int]],
    where: Sequence[Sequence[int]],
) -> Answered:
    """Return the responses and scores of several rounds that stay, in the order of the places.

    chosen: the prompts that stay. For each round, parts: responses and scores; kept: indices of the prompts that stay;
    where: the place of each prompt.
    """
    used = [turn for turn, prompts in enumerate(kept) if prompts]
    rollouts, buckets = [], []
    for turn in used:
        rollout = parts[turn][0]
        rollouts.append(rollout.take(rollout.prompts.take(kept[turn]), kept[turn]))
        buckets.append([where[turn][n] for n in kept[turn]])
    whole = joined_buckets(processor, chosen, rollouts, buckets)
    order = torch.tensor([place for bucket in buckets for place in bucket]).argsort()

    def scored(values: Sequence[Tensor]) -> Tensor:
        rows = [v.view(-1, whole.group_size)[list(kept[turn])] for turn, v in zip(used, values, strict=True)]
        return torch.cat(rows)[order].flatten()

    reward = scored([parts[turn][1].reward for turn in used])
    names = parts[0][1].parts
    scores = Scores(reward, {name: scored([parts[turn][1].parts[name] for turn in used]) for name in names})
    return replace(whole, policy_version=rollouts[0].policy_version), scores
