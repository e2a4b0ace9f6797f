"""Responses to prompts: trajectories made of segments, and the padded batch of them that a training step works on.

B, G, N, P, C, K, L, D: see `ral.types`.
"""

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
"""Why a trajectory ended: "stop" where the policy ended it, "length" where the length limit did."""


def finish_reasons(finished: Tensor) -> tuple[FinishReason, ...]:
    """Return the reasons of N trajectories. finished [N] bool: False where the length limit ended one."""
    return tuple("stop" if ended else "length" for ended in finished.tolist())


@dataclass(frozen=True)
class Segment:
    """One piece of a response: tokens that the policy sampled, or that it was shown (text, an image, a tool's result).

    sampled: True for tokens that the policy sampled. token_ids: exactly as sampled, or as the processor makes them,
    with one placeholder for each visual token.
    log_probs: those of the sampled tokens, as the engine computed them; () where the engine gives none.
    media: images and videos of a shown segment, in the order of their placeholders.
    compact_ids: tokens of a shown segment with one placeholder for each image or video (`ral.rollout.requests`).
    """

    token_ids: tuple[int, ...]
    sampled: bool
    log_probs: tuple[float, ...] = ()
    media: tuple[Pixels, ...] = ()
    compact_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Trajectory:
    """One response to a prompt, unpadded.

    policy_version: version of the policy that sampled the response, the oldest where its turns differ; None where
    unknown.
    """

    segments: tuple[Segment, ...]
    finish_reason: FinishReason
    policy_version: int | None = None


@dataclass(frozen=True)
class ShownMedia:
    """Images and videos that N responses hold in their shown segments.

    visual [N C] bool: True on their placeholders. media, grids: as in PromptBatch, in the order of the placeholders.
    """

    visual: Tensor
    media: dict[str, Tensor]
    grids: tuple[tuple[Grid, ...], ...]

    def take(self, rows: Sequence[int], length: int) -> ShownMedia:
        """Return the first `length` tokens of the responses `rows` (indices from 0 to N - 1), without pixels."""
        return ShownMedia(self.visual[rows, :length], {}, tuple(self.grids[n] for n in rows))


@dataclass(frozen=True)
class Rollout:
    """N trajectories of B prompts, group_size (G) of each, right-padded to the longest response.

    token_ids [N C] int64, exactly as sampled or shown.
    valid [N C] bool: context; the last valid token of a response of one turn is its end token, if it has one.
    trainable [N C] bool: tokens that the policy sampled (or, for SFT, shall learn), a part of valid.
    texts: the N texts of the trainable tokens. policy_version: version of the policy that sampled; None for given
    responses.
    log_probs [N C] fp32: those of the sampled tokens as the engine computed them; None where it computed none, and for
    given responses.
    attention_rows [L N C K] fp32: where the engine adds noise to attention, the attention rows under that noise, or the
    noise itself, as the setting `record` of the noise says; zero for tokens that were never fed; None where there was
    no noise.
    shown: media of shown segments, for trajectories that `ral.rollout.turns.assemble` joined; None for responses that
    were sampled, or given, in one piece.
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
        """Return a mask [N], on the CPU: True where the policy ended a trajectory, False where the length limit did."""
        return torch.tensor([reason == "stop" for reason in self.finish_reasons])

    def take(self, prompts: PromptBatch, chosen: Sequence[int], responses: range | None = None) -> Rollout:
        """Return the trajectories of the chosen prompts without pixels, less the padding that all of them share.

        prompts: the chosen prompts, as `PromptBatch.take` gives them. responses: which trajectories of each prompt, by
        their place in its group; None for all.
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
        """Return the indices (0 to N - 1) of the trajectories of the chosen prompts. responses: as in `take`."""
        places = range(self.group_size) if responses is None else responses
        return [n * self.group_size + g for n in chosen for g in places]


@dataclass(frozen=True)
class Shown:
    """N responses made of sampled and shown segments, as the model reads them, on its device.

    trainable, visual [N C] bool: those of the rollout;
    positions [3 N C] int64 (time, row, column);
    seen: visual embeddings, states [N C D], as in Prepared.
    """

    trainable: Tensor
    visual: Tensor
    positions: Tensor
    seen: VisualStates

    def take(self, rows: Sequence[int], length: int) -> Shown:
        """Return the first `length` tokens of the responses `rows` (indices from 0 to N - 1)."""
        return Shown(
            trainable=self.trainable[rows, :length],
            visual=self.visual[rows, :length],
            positions=self.positions[:, rows, :length],
            seen=self.seen.take(rows, slice(length)),
        )

    def padded(self) -> Shown:
        """Return the responses with one column of padding behind the last one: axis C becomes C + 1."""
        return Shown(
            trainable=pad(self.trainable, (0, 1)),
            visual=pad(self.visual, (0, 1)),
            positions=pad(self.positions, (0, 1)),
            seen=self.seen.padded(),
        )
