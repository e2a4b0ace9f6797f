"""Inputs and outputs of a network's forward passes. Axes: `ral.types`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ral.ops.attention import CapturedAttention


@dataclass(frozen=True)
class Openings:
    """Response prefixes: tokens that N responses are made to begin with, not sampled.

    ids [N T] int64: the tokens, right-padded to the longest prefix. lengths [N] int64: tokens of each prefix. asked [N]
    bool: False for places of a group that need no response.
    """

    ids: Tensor
    lengths: Tensor
    asked: Tensor

    def mask(self) -> Tensor:
        """Return a mask [N T]: True for prefix tokens, False for padding."""
        return torch.arange(self.ids.shape[1], device=self.ids.device) < self.lengths[:, None]

    def to(self, device: torch.device) -> Openings:
        """Return the same openings on `device`."""
        return Openings(self.ids.to(device), self.lengths.to(device), self.asked.to(device))


@dataclass(frozen=True)
class States:
    """Result of a training pass. hidden [N C D]: the hidden state that predicts each response token.

    attention: captured queries and keys of the layers asked for; None where no layer was asked for.
    """

    hidden: Tensor
    attention: CapturedAttention | None


class TokenRows(NamedTuple):
    """M padded rows of tokens with their media, on the device, as `ral.types.Sequences` has them.

    token_ids [M S]; valid [M S] bool; media: tensors of images and videos by name, as in PromptBatch.
    """

    token_ids: Tensor
    valid: Tensor
    media: dict[str, Tensor]


def joined_deepstack(prompt: Tensor, continuation: Tensor) -> Tensor:
    """Join deepstack features of prompts and of their responses along the tokens, to [max(J, I) B P+S D].

    prompt [J B P D], continuation [I B S D]: features of prompts and of responses, for J and for I decoder layers. The
    result is zero where one of them has no features for a layer.
    """
    layers = max(len(prompt), len(continuation))
    parts = [torch.cat([x, x.new_zeros(layers - len(x), *x.shape[1:])]) for x in (prompt, continuation)]
    return torch.cat(parts, dim=2)
