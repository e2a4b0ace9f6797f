"""Attention of a rollout: prefill of prompts, response prefixes, and one step of decoding, over one cache of keys.

Shapes: `ral.models.attention.interface`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from transformers import Cache

from ral.models.attention.kernel import summed
from ral.models.attention.padded import cut_mask, on_prompts, prompt_mask, sdpa
from ral.models.attention.recurrent import LinearStates
from ral.models.attention.training_layouts import Packed, Pair
from ral.types import Cut

CAPACITY = 64
"""Number of tokens of each response for which buffers of keys and values have room at first."""


class Explores(Protocol):
    """Noise on the attention of responses while they are decoded, with a record of it (ral.rollout.noise).

    layers: the layers with noise, counted among those of softmax attention.
    """

    layers: tuple[int, ...]

    def keep(self, prompts: Tensor, slots: Tensor) -> None:
        """Keep some prompts and responses, in place, and drop the rest.

        prompts [B']: indices of the prompts to keep. slots [B' G']: for each of these, the indices (0 to G - 1) of its
        responses to keep.
        """
        ...

    def attend(self, layer: int, scores: Tensor) -> Tensor:
        """Return fp32 attention weights [B Hkv G R K] from scores of that shape (masked ones at -inf), with noise."""
        ...


@dataclass
class Prefill:
    """Rollout layout of the prompts: causal attention that keeps each layer's keys and values, once per prompt.

    valid [B P]: tokens that are no padding. mask: None, since the layout computes attention itself. past: collects
    states of linear-attention layers; None where the network has none. cut: prompt tokens hidden from attention; None
    where none is hidden. cache: layer -> keys and values [B Hkv P D].
    """

    valid: Tensor
    mask: Tensor | None = None
    past: Cache | LinearStates | None = None
    cut: Cut | None = None
    cache: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._mask = prompt_mask(self.valid)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Compute causal attention [B P H D] of the prompts; store keys and values in `cache`."""
        self.cache[layer] = (key.to(value.dtype).contiguous(), value.contiguous())  # one layout for every decoding step
        if self.cut is not None and self.cut.hides(layer, prompt=True):
            return sdpa(query, key, value, cut_mask(self.valid, self.cut), scaling)
        return on_prompts(query, key, value, self.valid, self._mask, scaling)

    on_prompt = attend


@dataclass
class Extend(Packed):
    """Rollout layout of response prefixes of T tokens (`Openings`), over a prefilled prompt's cache.

    own: layer -> keys and values of the prefixes, [B Hkv G T D].
    """

    cache: dict[int, Pair] = field(default_factory=dict)
    own: dict[int, Pair] = field(default_factory=dict)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Compute attention [B G*T H D] of the prefixes on prompt and prefix; store their keys and values in `own`."""
        key, value = key.to(value.dtype), value
        shape = (self.group_size, self.response_length)
        self.own[layer] = key.unflatten(2, shape).contiguous(), value.unflatten(2, shape).contiguous()
        return self.respond(query, self.cache[layer], (key, value), scaling)


@dataclass
class Decode:
    """Rollout layout and state of decoding, one token for each of the G responses of each prompt.

    valid [B P]. position [B G]: position of the first sampled token. cache: layer -> the prompt's keys and values
    [B Hkv P D], read by all G queries at once. step: number of sampled tokens fed so far. own: layer -> buffers
    [B Hkv G T D] of the responses' keys and values, doubled when they are full. given [B G T]: mask of the prefix
    tokens (`Openings`), which fill the first T places of `own`; None where there are no prefixes. explored: noise on
    the attention of some layers; None where there is no noise. cut: prompt tokens hidden from responses; None where
    none is hidden. past: states of linear-attention layers, one entry for each response; None where the network has
    none.
    """

    valid: Tensor
    position: Tensor
    cache: dict[int, Pair]
    step: int = 0
    past: Cache | LinearStates | None = None
    own: dict[int, Pair] = field(default_factory=dict)
    given: Tensor | None = None
    explored: Explores | None = None
    cut: Cut | None = None

    def __post_init__(self) -> None:
        self.padded = not bool(self.valid.all())

    @property
    def mask(self) -> Tensor | None:
        """Return None: the layout computes attention itself, without Transformers' mask."""
        return None

    def keep(self, prompts: Tensor, slots: Tensor) -> None:
        """Keep some prompts and responses, in place, and drop the rest.

        prompts [B']: indices of the prompts to keep. slots [B' G']: for each of these, the indices (0 to G - 1) of its
        responses to keep.
        """
        if len(prompts) < len(self.valid):
            self.cache = {layer: (k[prompts], v[prompts]) for layer, (k, v) in self.cache.items()}
        rows = prompts[:, None]
        if isinstance(self.past, LinearStates) and self.past.before is not None:
            chosen = (rows * self.position.shape[1] + slots).flatten()
            self.past = LinearStates(self.past.before.take(chosen))
        self.valid, self.position = self.valid[prompts], self.position[rows, slots]
        self.given = None if self.given is None else self.given[rows, slots]
        self.cut = None if self.cut is None else self.cut.take(prompts)
        if self.explored is not None:
            self.explored.keep(prompts, slots)
        self.own = {
            layer: (k[rows, :, slots].transpose(1, 2), v[rows, :, slots].transpose(1, 2))
            for layer, (k, v) in self.own.items()
        }

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Compute attention [B G H D] of the tokens fed, by one fp32 softmax over keys of prompt and response."""
        prompt_k, prompt_v = self.cache[layer]
        query, key = query.to(value.dtype), key.to(value.dtype)  # autocast may leave them wider
        own_k, own_v = self._append(layer, key, value)
        batch, heads, group, width = query.shape
        kv_heads, p = key.shape[1], prompt_k.shape[2]
        q = query.view(batch, kv_heads, -1, group, width).transpose(2, 3)  # [B Hkv G R D]
        on_prompt = summed(q.flatten(2, 3), prompt_k.mT, scaling).unflatten(2, (group, -1))
        if self.padded or self.cuts(layer):
            on_prompt = on_prompt.masked_fill(~self.seen(layer)[:, None, None, None], -torch.inf)
        on_own = self.on_own(summed(q, own_k.mT, scaling))
        scores = torch.cat([on_prompt, on_own], dim=-1)
        weights = self.weigh(layer, scores).to(value.dtype)
        out = summed(weights[..., :p].flatten(2, 3), prompt_v).unflatten(2, (group, -1))
        out = (out + summed(weights[..., p:], own_v)).to(value.dtype)
        return out.permute(0, 2, 1, 3, 4).reshape(batch, group, heads, width)

    on_answers = attend

    def places(self) -> Tensor:
        """Return the positions [B G] of the tokens fed in this step."""
        return self.position + self.step

    def advance(self) -> None:
        """Count the token that has been fed, and let the next step begin with the linear-attention states it left."""
        self.step += 1
        if isinstance(self.past, LinearStates):
            self.past = self.past.next()

    def on_own(self, scores: Tensor) -> Tensor:
        """Set, in place, scores [B Hkv G R t] on response keys to -inf at the padding of prefixes; return them."""
        if self.given is not None:
            scores[..., : self.given.shape[2]].masked_fill_(~self.given[:, None, :, None], -torch.inf)
        return scores

    def cuts(self, layer: int) -> bool:
        """Tell whether some prompt tokens are hidden from responses in a layer."""
        return self.cut is not None and self.cut.hides(layer, response=True)

    def seen(self, layer: int) -> Tensor:
        """Return a mask [B P] of the prompt tokens to which responses attend in a layer."""
        return self.valid & ~self.cut.keys if self.cut is not None and self.cuts(layer) else self.valid

    def explores(self, layer: int) -> bool:
        """Tell whether there is noise on the attention of a layer."""
        return self.explored is not None and layer in self.explored.layers

    def weigh(self, layer: int, scores: Tensor) -> Tensor:
        """Return fp32 attention weights from scores [B Hkv G R K] (masked ones at -inf), with noise if there is any."""
        if self.explored is not None and self.explores(layer):
            return self.explored.attend(layer, scores)
        return torch.softmax(scores, dim=-1, dtype=torch.float32)

    def _append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store the keys and values [B Hkv G D] of the tokens fed; return those of all t so far, [B Hkv G t D]."""
        shape = (*key.shape[:3], CAPACITY, key.shape[3])
        keys, values = self.own.get(layer) or (key.new_empty(shape), value.new_empty(shape))
        at = self.step + (0 if self.given is None else self.given.shape[2])
        if at == keys.shape[3]:
            more = (*shape[:3], max(at, CAPACITY), shape[4])
            keys, values = (torch.cat([x, x.new_empty(more)], dim=3) for x in (keys, values))
        keys[..., at, :] = key
        values[..., at, :] = value
        self.own[layer] = keys, values
        return keys[..., : at + 1, :], values[..., : at + 1, :]
