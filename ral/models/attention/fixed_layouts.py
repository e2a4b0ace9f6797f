"""Attention of decoding steps that all run the same operations on tensors of the same shapes and addresses.

Such a step can be captured once and replayed (a CUDA graph): only the value in the tensor `count` differs between
steps. Shapes: `ral.models.attention.interface`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from ral.models.attention.rollout_layouts import CAPACITY, Decode


@dataclass
class FixedDecode(Decode):
    """Rollout layout as `Decode`, but over buffers with room for a fixed number of tokens of each response.

    own: layer -> keys and values [B Hkv G T D], zero where no token has been written; a step writes one token and masks
    the later places. count [] int64: number of tokens sampled before the one that is fed; the caller writes it before
    each step. `step` stays 0.
    """

    count: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.long))

    @classmethod
    def of(cls, state: Decode, most: int) -> FixedDecode:
        """Return the fixed layout that continues a state which has made no step. most: length limit of a response."""
        given = {f.name: getattr(state, f.name) for f in fields(state)}
        fixed = cls(**given, count=torch.zeros((), dtype=torch.long, device=state.position.device))
        fixed.make_room(min(CAPACITY, most))
        return fixed

    @property
    def began(self) -> int:
        """Return the greatest number of prefix tokens (`Openings`) of a response; 0 where there are no prefixes."""
        return 0 if self.given is None else self.given.shape[2]

    @property
    def room(self) -> int:
        """Return the number of sampled tokens that the buffers have room for."""
        return next(iter(self.own.values()))[0].shape[3] - self.began

    def make_room(self, tokens: int) -> None:
        """Replace the buffers by ones with room for `tokens` sampled tokens; keep their contents."""
        group, length = self.position.shape[1], self.began + tokens
        for layer, pair in self.cache.items():
            wider = tuple(x.new_zeros(*x.shape[:2], group, length, x.shape[-1]) for x in pair)
            for new, old in zip(wider, self.own.get(layer, ()), strict=False):
                new[..., : old.shape[3], :] = old
            self.own[layer] = wider[0], wider[1]

    def keep(self, prompts: Tensor, slots: Tensor) -> None:
        """Keep the prompts `prompts` [B'] and their responses `slots` [B' G'], drop the rest; see Decode.keep."""
        super().keep(prompts, slots)
        self.own = {layer: (k.contiguous(), v.contiguous()) for layer, (k, v) in self.own.items()}

    def places(self) -> Tensor:
        """Return the positions [B G] of the tokens fed in this step."""
        return self.position + self.count

    def advance(self) -> None:
        """Do nothing: the caller writes `count`, outside the step that may be captured."""

    def on_own(self, scores: Tensor) -> Tensor:
        """Return scores [B Hkv G R T] on response keys, -inf at places not written yet and at padding of prefixes."""
        places = torch.arange(scores.shape[-1], device=scores.device)
        hidden = places > self.count + self.began
        if self.given is not None:
            more = torch.nn.functional.pad(~self.given, (0, scores.shape[-1] - self.began))
            hidden = (hidden | more)[:, None, :, None]
        return scores.masked_fill(hidden, -torch.inf)

    def _append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write the keys and values [B Hkv G D] of the tokens fed; return the whole buffers [B Hkv G T D]."""
        keys, values = self.own[layer]
        at = (self.count + self.began)[None]
        keys.index_copy_(3, at, key[..., None, :])
        values.index_copy_(3, at, value[..., None, :])
        return keys, values
