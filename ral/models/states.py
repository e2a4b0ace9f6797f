"""Values that go into the passes of a network and come out of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ral.ops.attention import CapturedAttention


@dataclass(frozen=True)
class Openings:
    """Tokens that responses begin with, before sampled ones: ids [N T], lengths [N]. asked [N]: False for fillers."""

    ids: Tensor
    lengths: Tensor
    asked: Tensor

    def mask(self) -> Tensor:
        """Mark the tokens [N T] that responses begin with."""
        return torch.arange(self.ids.shape[1], device=self.ids.device) < self.lengths[:, None]

    def to(self, device: torch.device) -> Openings:
        """Return the same on `device`."""
        return Openings(self.ids.to(device), self.lengths.to(device), self.asked.to(device))


@dataclass(frozen=True)
class States:
    """hidden [N C D]: the state that predicts each response token; attention: what was captured, if asked."""

    hidden: Tensor
    attention: CapturedAttention | None


class TokenRows(NamedTuple):
    """Padded rows of tokens with their media, on the device (ral.types.Sequences)."""

    token_ids: Tensor
    valid: Tensor
    media: dict[str, Tensor]


def joined_deepstack(prompt: Tensor, continuation: Tensor) -> Tensor:
    """Join deepstack features of prompts [J B P D] and of what follows them [I B S D]; zero where one lacks a layer."""
    layers = max(len(prompt), len(continuation))
    parts = [torch.cat([x, x.new_zeros(layers - len(x), *x.shape[1:])]) for x in (prompt, continuation)]
    return torch.cat(parts, dim=2)
