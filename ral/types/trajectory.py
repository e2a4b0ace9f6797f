"""What the policy did: the continuations of a batch of prompts, padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ral.types.prompts import PromptBatch

FinishReason = Literal["stop", "length"]
"""Why a trajectory ended: the policy ended it, or the length limit cut it."""


def finish_reasons(finished: Tensor) -> tuple[FinishReason, ...]:
    """Return the reasons of N trajectories; finished [N] bool: False where the length limit cut one."""
    return tuple("stop" if ended else "length" for ended in finished.tolist())


@dataclass(frozen=True)
class Rollout:
    """N trajectories of B prompts, right-padded to the longest continuation; group_size of each prompt.

    token_ids [N C] int64, exactly as sampled or shown. valid [N C] bool: context; a single answer's end token is its
    last. trainable [N C] bool: tokens that the policy sampled (or, for SFT, shall learn), a part of valid.
    texts: the N texts of the trainable tokens. policy_version: of the weights that sampled; None for given responses.
    log_probs [N C] fp32: of the sampled tokens as the sampler saw them; None where nothing was sampled.
    attention_rows [L N C K] fp32: the attention policy under the sampler's noise, zero rows for tokens that it never
    fed; None where there was no noise.
    """

    prompts: PromptBatch
    token_ids: Tensor
    valid: Tensor
    trainable: Tensor
    texts: tuple[str, ...]
    finish_reasons: tuple[FinishReason, ...]
    group_size: int
    log_probs: Tensor | None = None
    attention_rows: Tensor | None = None
    policy_version: int | None = None

    @property
    def finished(self) -> Tensor:
        """[N] bool, on the CPU: False where the length limit cut the trajectory."""
        return torch.tensor([reason == "stop" for reason in self.finish_reasons])

    def take(self, prompts: PromptBatch, chosen: Sequence[int]) -> Rollout:
        """Return the trajectories of the chosen prompts without shared padding; `prompts`: that part of the batch."""
        group = self.group_size
        rows = [n * group + g for n in chosen for g in range(group)]
        length = max(int(self.valid[rows].sum(1).max()), 1)
        valid = self.valid[rows, :length]
        trimmed = self.prompts.token_ids.shape[1] - prompts.token_ids.shape[1]
        keys = slice(trimmed, self.prompts.token_ids.shape[1] + length)
        looks = self.attention_rows
        return Rollout(
            prompts=prompts,
            token_ids=self.token_ids[rows, :length],
            valid=valid,
            trainable=valid if self.trainable is self.valid else self.trainable[rows, :length],
            texts=tuple(self.texts[n] for n in rows),
            finish_reasons=tuple(self.finish_reasons[n] for n in rows),
            group_size=group,
            log_probs=None if self.log_probs is None else self.log_probs[rows, :length],
            attention_rows=None if looks is None else looks[:, rows, :length, keys],
            policy_version=self.policy_version,
        )
