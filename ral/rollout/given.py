"""Rollouts of responses that the dataset gives, without an engine.

Each class is made with the policy's processor and called with prompts and a seed, which is not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ral.models.processor import Processor
from ral.rollout.single_answers import make_rollout
from ral.types import Prepared, Rollout


@dataclass(frozen=True)
class Targets:
    """Maker of rollouts for supervised fine-tuning: the one response to each prompt is its target."""

    processor: Processor

    def __call__(self, prompts: Prepared, seed: int = 0) -> Rollout:
        """Return the rollout of the targets, tokenized, with end token. AssertionError for prompts without targets."""
        assert prompts.prompts.targets, "a dataset split without targets reached supervised fine-tuning"
        return written(self.processor, prompts, prompts.prompts.targets)


@dataclass(frozen=True)
class Pairs:
    """Maker of rollouts for reward models: the responses to each prompt are the chosen and the rejected one."""

    processor: Processor

    def __call__(self, prompts: Prepared, seed: int = 0) -> Rollout:
        """Return the rollout of both responses to each prompt, tokenized, with end token.

        AssertionError for an example without a preference.
        """
        pairs = [(example.chosen, example.rejected) for example in prompts.prompts.examples]
        texts = [text for pair in pairs for text in pair if text is not None]
        assert len(texts) == 2 * len(pairs), "an entry without preferences reached a reward model"
        return written(self.processor, prompts, texts)


def written(processor: Processor, prompts: Prepared, texts: Sequence[str]) -> Rollout:
    """Return the rollout whose responses are the given texts, each with an end token and finished.

    texts: equally many for each prompt, in the order of the prompts.
    """
    device = prompts.token_ids.device
    rows = [processor.response_ids(text) for text in texts]
    length = max(len(row) for row in rows)
    ids = torch.tensor([row + [processor.pad_id] * (length - len(row)) for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    mask = torch.arange(length, device=device)[None] < lengths[:, None]
    group, finished = len(rows) // len(prompts), torch.ones_like(lengths, dtype=torch.bool)
    return make_rollout(processor, prompts, ids, mask, finished, group)
