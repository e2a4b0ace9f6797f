"""Parts of a decoding loop: the draw of a token, the responses so far, and which of them are still in the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

COMPACT_BELOW = 0.5
"""Share of the places of a decoding batch: finished responses leave when the others fit into this share or less."""

LONGEST = 4.0
"""Greatest ratio of the lengths of two prompts in a decoding batch, which bounds the padding."""


def draw(logits: Tensor, uniform: Tensor | None) -> Tensor:
    """Return next tokens [n] int64 from logits [n V] (banned ones at -inf).

    uniform [n]: random numbers in [0, 1), by which tokens are drawn through the inverse of the cumulative distribution;
    None for the likeliest tokens. A token of probability 0 is never drawn.
    """
    if uniform is None:
        return logits.argmax(-1)
    weights = torch.softmax(logits.double(), -1)
    edges = weights.cumsum(-1)
    found = torch.searchsorted(edges, uniform[:, None] * edges[:, -1:], right=True).squeeze(-1)
    last = weights.shape[-1] - 1 - (weights > 0).flip(-1).int().argmax(-1)
    return torch.minimum(found, last)


@dataclass
class Responses:
    """N responses while they are decoded.

    ids [N C] int64, padded; mask [N C]: sampled tokens; log_probs [N C] fp32, nats. asked [N]: False for places of a
    group that need no response. running [N]: responses that have not ended.
    """

    ids: Tensor
    mask: Tensor
    log_probs: Tensor
    asked: Tensor
    running: Tensor

    @classmethod
    def empty(cls, asked: Tensor, limit: int, pad_id: int) -> Responses:
        """Return N responses without any token yet, with room for `limit` tokens each. asked [N]: as in the class."""
        ids = torch.full((len(asked), limit), pad_id, device=asked.device)
        log_probs = torch.zeros(ids.shape, device=asked.device)
        return cls(ids, torch.zeros_like(ids, dtype=torch.bool), log_probs, asked, asked.clone())

    @property
    def finished(self) -> Tensor:
        """Return a mask [N] of the responses that ended by an end token."""
        return self.asked & ~self.running

    def add(self, step: int, rows: Tensor, tokens: Tensor, log_probs: Tensor, ends: Tensor) -> None:
        """Write token number `step` (from 0) and its log-prob into those of the responses `rows` [n] that still run.

        rows: indices of responses. tokens, log_probs [n]. ends: ids of end tokens, which end a response.
        """
        live = self.running[rows]
        self.ids[rows, step] = torch.where(live, tokens, self.ids[rows, step])
        self.mask[rows, step] = live
        self.log_probs[rows, step] = torch.where(live, log_probs, 0.0)
        self.running[rows] = live & ~torch.isin(tokens, ends)


@dataclass
class Slots:
    """Places of a decoding batch, B' prompts with G' responses each. grid [B' G']: indices into the N responses.

    left: number of responses that still ran at the last call of `leave`; -1 before the first call.
    """

    grid: Tensor
    left: int = -1

    def leave(self, running: Tensor) -> tuple[Tensor, Tensor] | None:
        """Remove finished responses where that frees enough places (COMPACT_BELOW).

        running [N]: responses that have not ended. Return the indices of the kept prompts [B'], those with a running
        response, and of the kept responses of each [B' G'], running ones first; None where nothing is dropped.
        """
        alive = running[self.grid]
        counts: list[int] = alive.sum(1).tolist()  # the one wait for the device in a decoding step
        self.left = sum(counts)
        kept, width = [n for n, count in enumerate(counts) if count], max(counts)
        if not kept or len(kept) * width > COMPACT_BELOW * self.grid.numel():
            return None
        prompts = torch.tensor(kept, device=running.device)
        slots = (~alive[prompts]).int().argsort(dim=1, stable=True)[:, :width]
        self.grid = self.grid[prompts].gather(1, slots)
        return prompts, slots


def length_buckets(lengths: Sequence[int]) -> list[list[int]]:
    """Group the indices of prompts by length, so that none is longer than LONGEST times the shortest of its group.

    lengths: tokens of each prompt.
    """
    buckets: list[list[int]] = []
    for n in sorted(range(len(lengths)), key=lambda n: lengths[n]):
        if not buckets or lengths[n] > LONGEST * lengths[buckets[-1][0]]:
            buckets.append([])
        buckets[-1].append(n)
    return buckets
