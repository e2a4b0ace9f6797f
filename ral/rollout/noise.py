"""Exploration of attention: Gaussian noise on the attention logits of a rollout, and the attention that came of it.

While responses are decoded, the logits e of the chosen layers become e + sigma * eps, eps ~ N(0, 1) for each head and
key of every response token that is fed; prompts are left alone. What is recorded is Eq. 2 (ral.ops.attention) of the
disturbed weights, so that it can be compared with rows of a training pass; or, where the noise is shared by the heads,
sigma * eps itself, for its log-density. The noise of a prompt depends on the rollout's seed, the prompt, the layer and
the token, not on the batch or on what else is still running.
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
"""Responses n [N'] and their rows [N' P+t] at one decoding step."""


@dataclass(frozen=True)
class Noise:
    """Strength and place of the noise.

    sigma: standard deviation in logits. attention: the attention that the objective compares; its layers and heads are
    disturbed, and its rows (query, keys) recorded. keys: those that are disturbed, all or the prompt's visual ones.
    shared: one number for all chosen heads, so that a look moves as a whole; else one for each. fresh: drawn anew for
    each token, or once a response. modes: of each axis of a picture or clip, the cosine waves that noise on visual keys
    is made of, from the longest on, so that it is smooth and has few dimensions; None for one number a key. record: the
    rows under the noise, or the noise itself.
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
    """The noise of one decoding batch of B prompts with group_size responses each, and the rows recorded so far.

    seeds: one a prompt. grids: (T, H, W) of each prompt's media, in the order of their visual tokens. grid [B' G']: the
    responses (0..N-1) that the batch still holds, and prompts their prompts.
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
        """Go on with the prompts [B'] and, of each, the responses slots [B' G'] alone."""
        self.grid = self.grid[prompts[:, None], slots]
        self.prompts = [self.prompts[n] for n in prompts.tolist()]

    def attend(self, layer: int, scores: Float[Tensor, "b Hkv g R K"]) -> Float[Tensor, "b Hkv g R K"]:
        """Compute fp32 attention weights from all responses' scores at one step, with the noise; record their rows.

        scores: masked ones at -inf. b * g = B' * G'; K = P and the response's own keys up to the token that is fed.
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
        """Return the indices of the heads that are disturbed."""
        chosen = self.noise.attention.heads
        return list(range(heads)) if isinstance(chosen, str) else list(chosen)

    def _draw(self, layer: int, heads: int, own: int) -> Tensor:
        """Draw standard normal numbers [B' G' heads P+own]; 0 for padding, and for heads and keys not chosen."""
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
        """Make rows [N' P+own] (RAL, Eq. 2) of disturbed weights [N' heads P+own], as the attention policy has them."""
        spec = self.noise.attention
        chosen = weights if isinstance(spec.heads, str) else weights[:, list(spec.heads)]
        prompt = spec.kept(self.valid, self.visual)[self.grid // self.group_size]
        earlier = torch.full((own,), spec.keys == "all", device=weights.device)
        if spec.query == "self":
            earlier[-1:] = False  # the token's own position
        keep = torch.cat([prompt.flatten(0, 1), earlier.expand(self.grid.numel(), -1)], dim=-1)
        return renormalise(chosen.mean(1), keep)

    def rows(self, mask: Tensor) -> Float[Tensor, "L N C K"]:
        """Return what was recorded of responses with mask [N C], once; zero rows for tokens never fed.

        Those are a response's last token, or with query=previous its first, whose row is the prompt's.
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
    """Return numbers on visual tokens with the longest cosine waves of each medium alone, `modes` an axis.

    A projection: of standard normal numbers remain standard normal coefficients of orthonormal waves, so that the
    score function of what remains has the form of that of one number a key. grids: (T, H, W) of each medium.
    """
    parts = []
    for part, grid in zip(values.split([t * h * w for t, h, w in grids], -1), grids, strict=True):
        t, h, w = (waves(n, modes).to(part) for n in grid)
        kept = torch.einsum("...thw,tx,hy,wz->...xyz", part.unflatten(-1, grid), t, h, w)
        parts.append(torch.einsum("...xyz,tx,hy,wz->...thw", kept, t, h, w).flatten(-3))
    return torch.cat(parts, -1)


def waves(count: int, modes: int) -> Float[Tensor, "n modes"]:
    """Return the longest orthonormal cosine waves on `count` places, one a column: those of the DCT-II."""
    at, wave = torch.arange(count, dtype=torch.float64) + 0.5, torch.arange(min(modes, count), dtype=torch.float64)
    columns = torch.cos(torch.pi * at[:, None] * wave / count)
    return columns / columns.norm(dim=0)
