"""Attention of a decoding step whose operations are those of any other step: of tensors of one shape, in one place.

A step so made can be captured once and replayed (a CUDA graph), because nothing of it depends on its number but what
the tensor `count` holds. Shapes: `ral.models.attention.interface`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from ral.models.attention.rollout_layouts import CAPACITY, Decode


@dataclass
class FixedDecode(Decode):
    """Rollout layout of one step, as `Decode`, over buffers of a fixed number of tokens for each response.

    The prompt's cache is held once for its G responses. own: keys and values [B Hkv G T D], zero where no token has
    been written; a step writes one token and hides those behind it. count [] int64: number of tokens sampled before the
    one that is fed, which the caller writes before each step; `step` stays 0.
    """

    count: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.long))

    @classmethod
    def of(cls, state: Decode, most: int) -> FixedDecode:
        """Return the layout that goes on from a state before its first step. most: tokens that may be sampled."""
        given = {f.name: getattr(state, f.name) for f in fields(state)}
        fixed = cls(**given, count=torch.zeros((), dtype=torch.long, device=state.position.device))
        fixed.make_room(min(CAPACITY, most))
        return fixed

    @property
    def began(self) -> int:
        """Number of tokens, at most, that responses were made to begin with."""
        return 0 if self.given is None else self.given.shape[2]

    @property
    def room(self) -> int:
        """Number of sampled tokens that the buffers have room for."""
        return next(iter(self.own.values()))[0].shape[3] - self.began

    def make_room(self, tokens: int) -> None:
        """Give the buffers room for so many sampled tokens; what they hold is kept."""
        group, length = self.position.shape[1], self.began + tokens
        for layer, pair in self.cache.items():
            wider = tuple(x.new_zeros(*x.shape[:2], group, length, x.shape[-1]) for x in pair)
            for new, old in zip(wider, self.own.get(layer, ()), strict=False):
                new[..., : old.shape[3], :] = old
            self.own[layer] = wider[0], wider[1]

    def keep(self, prompts: Tensor, slots: Tensor) -> None:
        """Go on with the prompts [B'] and, of each, the responses slots [B' G'] alone."""
        super().keep(prompts, slots)
        self.own = {layer: (k.contiguous(), v.contiguous()) for layer, (k, v) in self.own.items()}

    def places(self) -> Tensor:
        """Positions [B G] of the tokens that are fed."""
        return self.position + self.count

    def advance(self) -> None:
        """Do nothing: the caller writes `count`, outside of what may be captured."""

    def on_own(self, scores: Tensor) -> Tensor:
        """Hide the places that no token has been written to, and what pads the tokens that responses began with."""
        places = torch.arange(scores.shape[-1], device=scores.device)
        hidden = places > self.count + self.began
        if self.given is not None:
            more = torch.nn.functional.pad(~self.given, (0, scores.shape[-1] - self.began))
            hidden = (hidden | more)[:, None, :, None]
        return scores.masked_fill(hidden, -torch.inf)

    def _append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write keys and values of the tokens that are fed; the whole buffers [B Hkv G T D]."""
        keys, values = self.own[layer]
        at = (self.count + self.began)[None]
        keys.index_copy_(3, at, key[..., None, :])
        values.index_copy_(3, at, value[..., None, :])
        return keys, values
