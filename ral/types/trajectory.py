"""Continuations of prompts: trajectories of segments, and the padded batch of them that a step works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from ral.types.examples import Pixels
from ral.types.prompts import Grid, PromptBatch, VisualStates

FinishReason = Literal["stop", "length"]
"""Why a trajectory ended: the policy ended it, or the length limit cut it."""


def finish_reasons(finished: Tensor) -> tuple[FinishReason, ...]:
    """Return the reasons of N trajectories; finished [N] bool: False where the length limit cut one."""
    return tuple("stop" if ended else "length" for ended in finished.tolist())


@dataclass(frozen=True)
class Segment:
    """One piece of a continuation: what the policy sampled, or what it was shown (text, a picture, a tool's result).

    token_ids: exactly as sampled, or as the processor makes them, one placeholder a visual token.
    log_probs: of sampled tokens as the engine saw them; () where it does not say.
    media: pictures and clips of a shown segment, in the order of their placeholders.
    compact_ids: of a shown segment, its ids with one placeholder a medium (ral.rollout.requests).
    """

    token_ids: tuple[int, ...]
    sampled: bool
    log_probs: tuple[float, ...] = ()
    media: tuple[Pixels, ...] = ()
    compact_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Trajectory:
    """One continuation of a prompt, unpadded.

    policy_version: of the weights that sampled, the oldest of its turns; None where nobody says.
    """

    segments: tuple[Segment, ...]
    finish_reason: FinishReason
    policy_version: int | None = None


@dataclass(frozen=True)
class ShownMedia:
    """Pictures and clips that N continuations show.

    visual [N C] bool: their placeholders. media, grids: in the order of the placeholders, as in PromptBatch.
    """

    visual: Tensor
    media: dict[str, Tensor]
    grids: tuple[tuple[Grid, ...], ...]

    def take(self, rows: Sequence[int], length: int) -> ShownMedia:
        """Return the first `length` tokens of some continuations, without pixels."""
        return ShownMedia(self.visual[rows, :length], {}, tuple(self.grids[n] for n in rows))


@dataclass(frozen=True)
class Rollout:
    """N trajectories of B prompts, right-padded to the longest continuation; group_size of each prompt.

    token_ids [N C] int64, exactly as sampled or shown. valid [N C] bool: context; a single answer's end token is its
    last. trainable [N C] bool: tokens that the policy sampled (or, for SFT, shall learn), a part of valid.
    texts: the N texts of the trainable tokens. policy_version: of the weights that sampled; None for given responses.
    log_probs [N C] fp32: of the sampled tokens as the sampler saw them; None where nothing was sampled.
    attention_rows [L N C K] fp32: the attention policy under the sampler's noise, or that noise itself, as its setting
    `record` says; zero rows for tokens that it never fed; None where there was no noise.
    shown: media of shown segments; None where every trajectory is one answer.
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
    shown: ShownMedia | None = None

    @property
    def finished(self) -> Tensor:
        """Tell which trajectories ended by themselves: [N] bool, on the CPU; False where the length limit cut one."""
        return torch.tensor([reason == "stop" for reason in self.finish_reasons])

    def take(self, prompts: PromptBatch, chosen: Sequence[int], responses: range | None = None) -> Rollout:
        """Return the trajectories of the chosen prompts without pixels and shared padding; prompts: of that part.

        responses: those of each prompt, by their place in its group; None for all.
        """
        rows, group = self.rows(chosen, responses), self.group_size if responses is None else len(responses)
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
            shown=None if self.shown is None else self.shown.take(rows, length),
        )

    def rows(self, chosen: Sequence[int], responses: range | None = None) -> list[int]:
        """Return the indices of the trajectories of the chosen prompts. responses: as in `take`."""
        places = range(self.group_size) if responses is None else responses
        return [n * self.group_size + g for n in chosen for g in places]


@dataclass(frozen=True)
class Shown:
    """N continuations that hold more than one sampled answer, as a network reads them, on its device.

    trainable, visual [N C] bool: those of the rollout;
    positions [3 N C] int64;
    seen: visual embeddings [N C D], as in Prepared.
    """

    trainable: Tensor
    visual: Tensor
    positions: Tensor
    seen: VisualStates

    def take(self, rows: Sequence[int], length: int) -> Shown:
        """Return the first `length` tokens of some continuations."""
        return Shown(
            trainable=self.trainable[rows, :length],
            visual=self.visual[rows, :length],
            positions=self.positions[:, rows, :length],
            seen=self.seen.take(rows, slice(length)),
        )

    def padded(self) -> Shown:
        """Return the same with one more column, of padding."""
        return Shown(
            trainable=pad(self.trainable, (0, 1)),
            visual=pad(self.visual, (0, 1)),
            positions=pad(self.positions, (0, 1)),
            seen=self.seen.padded(),
        )
