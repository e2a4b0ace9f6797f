"""Parts of a decoding loop: the draw of a token, the responses so far, and who is still in the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

COMPACT_BELOW = 0.5
"""Finished responses leave the decoding batch when this share of its places, or less, would hold those that run."""

LONGEST = 4.0
"""Prompts in one decoding batch are at most this many times as long as the shortest: the rest would be padding."""


def draw(logits: Tensor, uniform: Tensor | None) -> Tensor:
    """Return next tokens [n] from logits [n V] (banned ones at -inf): the likeliest, or those drawn by `uniform` [n].

    Each token has an interval of [0, 1) as long as its probability; the one that holds the number is drawn. That of a
    token without probability is empty, and the last one ends above every number.
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

    ids [N C], padded; mask [N C]: the sampled tokens; log_probs [N C] fp32; asked [N]: False for fillers; running [N]:
    asked for and not ended.
    """

    ids: Tensor
    mask: Tensor
    log_probs: Tensor
    asked: Tensor
    running: Tensor

    @classmethod
    def empty(cls, asked: Tensor, limit: int, pad_id: int) -> Responses:
        """Return responses without any token, of at most `limit` tokens each."""
        ids = torch.full((len(asked), limit), pad_id, device=asked.device)
        log_probs = torch.zeros(ids.shape, device=asked.device)
        return cls(ids, torch.zeros_like(ids, dtype=torch.bool), log_probs, asked, asked.clone())

    @property
    def finished(self) -> Tensor:
        """Mark the responses [N] that ended before the limit."""
        return self.asked & ~self.running

    def add(self, step: int, rows: Tensor, tokens: Tensor, log_probs: Tensor, ends: Tensor) -> None:
        """Add one token and its log-prob to those of the responses `rows` that still run. ends: ids of end tokens."""
        live = self.running[rows]
        self.ids[rows, step] = torch.where(live, tokens, self.ids[rows, step])
        self.mask[rows, step] = live
        self.log_probs[rows, step] = torch.where(live, log_probs, 0.0)
        self.running[rows] = live & ~torch.isin(tokens, ends)


@dataclass
class Slots:
    """The responses that the decoding batch holds, by place: grid [B' G'] of indices into the N responses.

    left: responses that still run, as of the last call of `leave`.
    """

    grid: Tensor
    left: int = -1

    def leave(self, running: Tensor) -> tuple[Tensor, Tensor] | None:
        """Let finished responses go where that frees enough places: the kept prompts [B'] and slots [B' G'], or None.

        running [N]. Prompts without a running response go; of the rest, running responses come first.
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
    """Group the indices of prompts by length: those decoded together are at most LONGEST times their shortest."""
    buckets: list[list[int]] = []
    for n in sorted(range(len(lengths)), key=lambda n: lengths[n]):
        if not buckets or lengths[n] > LONGEST * lengths[buckets[-1][0]]:
            buckets.append([])
        buckets[-1].append(n)
    return buckets
