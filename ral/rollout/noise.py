"""Exploration of attention: Gaussian noise on the attention logits of a rollout, and a record of it.

While responses are decoded, the attention logits e of the chosen layers become e + sigma * eps, eps ~ N(0, 1) for each
head and key of every response token; the prompts' own attention has no noise. The record is either the attention rows
of Eq. 2 (ral.ops.attention) under the noise, to be compared with rows of a training pass, or, where the heads share the
noise, sigma * eps itself, for its log-density. The noise depends on the rollout's seed, the prompt, the layer and the
token, not on the batch or on which responses still run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ral.ops.attention import AttentionSpec, renormalise
from ral.rollout.seeds import hash_seed
from ral.types import Grid

Record = tuple[Tensor, Tensor]
"""Record of one decoding step: indices [N'] of the responses in it, and their attention rows or noise [N' P+t]."""


@dataclass(frozen=True)
class Noise:
    """Settings of the noise on attention logits. ValueError for values or combinations that are not possible.

    sigma: standard deviation, in logits, > 0. attention: attention policy of the objective; its layers and heads get
    noise, and its rows are recorded. keys: the keys with noise, "all" or the prompt's "visual" tokens. shared: whether
    all chosen heads get the same noise. fresh: whether noise is drawn anew for each token, or once a response. modes:
    number of cosine waves along each axis of an image or video, longest first, of which noise on visual keys is made,
    so that it is smooth and has few dimensions; None for an independent number at each key. record: the attention rows
    under the noise, or the noise itself.
    """

    sigma: float
    attention: AttentionSpec
    keys: Literal["all", "visual"] = "all"
    shared: bool = False
    fresh: Literal["token", "response"] = "token"
    record: Literal["rows", "noise"] = "rows"
    modes: int | None = None

    def __post_init__(self) -> None:
        name = "algo.sampling.noise"
        if self.sigma <= 0:
            raise ValueError(f"{name}.sigma is {self.sigma}: write more than 0, or {name}=null")
        choices = {"keys": ("all", "visual"), "fresh": ("token", "response"), "record": ("rows", "noise")}
        for key, known in choices.items():
            if getattr(self, key) not in known:
                raise ValueError(f"{name}.{key} is {getattr(self, key)!r}: write {' or '.join(known)}")
        if self.fresh == "response" and self.keys == "all":
            raise ValueError(f"{name}.fresh=response is for keys that all tokens see: write {name}.keys=visual")
        if self.modes is not None and self.modes < 1:
            raise ValueError(f"{name}.modes is {self.modes}: write 1 or more, or null for one number a key")
        if self.modes is not None and self.keys == "all":
            raise ValueError(f"{name}.modes is of pictures and clips: write {name}.keys=visual")
        if self.record == "noise" and not self.shared:
            raise ValueError(f"{name}.record=noise is for one number that all heads get: write {name}.shared=true")


@dataclass
class Exploration:
    """Noise of one decoding batch of B prompts with group_size responses each, and its record so far.

    layers: decoder layers with noise, counted among those of softmax attention. seeds: one for each prompt. valid,
    visual [B P]. grids: (T, H, W) of each prompt's images and videos, in the order of their visual tokens. The
    attributes grid [B' G'] and prompts [B'] hold the indices of the responses (0..N-1) and prompts still decoded.
    """

    noise: Noise
    layers: tuple[int, ...]
    seeds: Sequence[int]
    valid: Tensor
    visual: Tensor
    group_size: int
    grids: Sequence[Sequence[Grid]] = ()

    def __post_init__(self) -> None:
        batch = len(self.valid)
        self.grid = torch.arange(batch * self.group_size, device=self.valid.device).view(batch, self.group_size)
        self.prompts = list(range(batch))
        self.lengths: list[int] = self.valid.sum(1).tolist()
        self.records: dict[int, list[Record]] = {layer: [] for layer in self.layers}

    def keep(self, prompts: Tensor, slots: Tensor) -> None:
        """Keep the prompts `prompts` [B'] and their responses `slots` [B' G'], drop the rest.

        Both are indices, as in `ral.models.attention.rollout_layouts.Decode.keep`.
        """
        self.grid = self.grid[prompts[:, None], slots]
        self.prompts = [self.prompts[n] for n in prompts.tolist()]

    def attend(self, layer: int, scores: Float[Tensor, "b Hkv g R K"]) -> Float[Tensor, "b Hkv g R K"]:
        """Compute fp32 attention weights, with noise, from the scores of all responses at one step, and record them.

        scores: -inf where masked. b * g = B' * G' responses (the plain path has b sequences with g = 1); K: P prompt
        tokens and the response tokens up to the one fed.
        """
        heads = scores.shape[1] * scores.shape[3]
        own = scores.shape[-1] - self.valid.shape[1]
        drawn = self._draw(layer, heads, own)
        noise = drawn.view(scores.shape[0], scores.shape[2], *scores.shape[1:4:2], -1)
        weights = torch.softmax(scores.float() + self.noise.sigma * noise.transpose(1, 2), dim=-1)
        if self.noise.record == "noise":
            found = self.noise.sigma * drawn[:, :, self._chosen(heads)[0]].flatten(0, 1)
        else:
            found = self._rows(weights.transpose(1, 2).reshape(self.grid.numel(), heads, -1), own)
        self.records[layer].append((self.grid.flatten(), found))
        return weights

    def _chosen(self, heads: int) -> list[int]:
        """Return the indices of the heads that get noise."""
        chosen = self.noise.attention.heads
        return list(range(heads)) if isinstance(chosen, str) else list(chosen)

    def _draw(self, layer: int, heads: int, own: int) -> Tensor:
        """Draw standard normal numbers [B' G' heads P+own]; 0 for padding, and for heads and keys without noise.

        own: number of response tokens up to the one fed.
        """
        device, width, prompt_width = self.valid.device, self.valid.shape[1] + own, self.valid.shape[1]
        once = self.noise.fresh == "response"
        end = prompt_width if once else width
        out = torch.zeros(len(self.prompts), self.group_size, heads, width, device=device)
        for n, prompt in enumerate(self.prompts):
            seed = hash_seed(self.seeds[prompt], layer, *(() if once else (own,)))
            generator = torch.Generator(device).manual_seed(seed)
            start = prompt_width - self.lengths[prompt]
            shape = (self.group_size, 1 if self.noise.shared else heads, end - start)
            drawn = torch.randn(shape, generator=generator, device=device)  # whole: filling a view would differ
            if self.noise.modes is not None and self.grids[prompt]:
                seen = self.visual[prompt, prompt_width - self.lengths[prompt] :].nonzero().squeeze(-1)
                drawn[..., seen] = smooth(drawn[..., seen], self.grids[prompt], self.noise.modes)
            out[n, ..., start:end] = drawn
        others = [h for h in range(heads) if h not in self._chosen(heads)]
        out[:, :, others] = 0.0
        if self.noise.keys == "visual":
            out[..., prompt_width:] = 0.0
            out[..., :prompt_width] *= self.visual[self.prompts][:, None, None]
        slots = self.grid % self.group_size
        return out[torch.arange(len(out), device=device)[:, None], slots]

    def _rows(self, weights: Tensor, own: int) -> Tensor:
        """Make attention rows [N' P+own] (RAL, Eq. 2) from weights under noise [N' heads P+own]."""
        spec = self.noise.attention
        chosen = weights if isinstance(spec.heads, str) else weights[:, list(spec.heads)]
        prompt = spec.kept(self.valid, self.visual)[self.grid // self.group_size]
        earlier = torch.full((own,), spec.keys == "all", device=weights.device)
        if spec.query == "self":
            earlier[-1:] = False  # the token's own position
        keep = torch.cat([prompt.flatten(0, 1), earlier.expand(self.grid.numel(), -1)], dim=-1)
        return renormalise(chosen.mean(1), keep)

    def rows(self, mask: Tensor) -> Float[Tensor, "L N C K"]:
        """Return the record of N responses, attention rows or noise, and delete it: KeyError at a second call.

        mask [N C]: tokens of the responses. The result is zero for tokens without a record: the last token of a
        response, which is never fed, or with query=previous the first one, whose row belongs to the prompt.
        """
        count, length = mask.shape
        p, late = self.valid.shape[1], self.noise.attention.query == "previous"
        out = torch.zeros(len(self.layers), count, length, p + length, device=mask.device)
        for rows, layer in zip(out, self.layers, strict=True):
            for step, (responses, found) in enumerate(self.records.pop(layer)):
                if step + late < length:
                    rows[responses, step + late, : found.shape[1]] = found
        fed = torch.zeros_like(mask)
        if late:
            fed[:, 1:] = mask[:, 1:]
        else:
            fed[:, :-1] = mask[:, 1:]
        return out.masked_fill_(~fed[None, ..., None], 0.0)


def smooth(values: Float[Tensor, "*rows V"], grids: Sequence[Grid], modes: int) -> Float[Tensor, "*rows V"]:
    """Return values on visual tokens projected onto the `modes` longest cosine waves of each axis of each medium.

    values [.. V]: V visual tokens of one prompt. grids: (T, H, W) of each image or video. The projection of independent
    standard normal numbers has independent standard normal coefficients of orthonormal waves, so that its score
    function has the form of that of independent numbers.
    """
    parts = []
    for part, grid in zip(values.split([t * h * w for t, h, w in grids], -1), grids, strict=True):
        t, h, w = (waves(n, modes).to(part) for n in grid)
        kept = torch.einsum("...thw,tx,hy,wz->...xyz", part.unflatten(-1, grid), t, h, w)
        parts.append(torch.einsum("...xyz,tx,hy,wz->...thw", kept, t, h, w).flatten(-3))
    return torch.cat(parts, -1)


def waves(count: int, modes: int) -> Float[Tensor, "n modes"]:
    """Return the longest orthonormal cosine waves (DCT-II) on `count` places, fp64 [count min(modes, count)]."""
    at, wave = torch.arange(count, dtype=torch.float64) + 0.5, torch.arange(min(modes, count), dtype=torch.float64)
    columns = torch.cos(torch.pi * at[:, None] * wave / count)
    return columns / columns.norm(dim=0)
