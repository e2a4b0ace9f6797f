"""The attention policy of RAL, section 2, Eq. 2: where a generated token looks, a distribution over earlier positions.

a_{t,i}: attention weight from response position t to position i, softmax per head over all i <= t, averaged over heads.
p^t(i) = a_{t,i} / sum_{j < t} a_{t,j} for i < t: the token's own position is left out and the rest renormalised.

The rows come from the queries and keys that a layer computed anyway, for response tokens only, in chunks of queries;
nothing of size [heads, T, T] exists, and no [N, C, K] activation is kept for the backward pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ral.ops.divergence import Divergence

SCORES_AT_ONCE = {"cpu": 2**22, "cuda": 2**26}
"""Attention scores, over all heads, that exist at once (in fp32: 17 MB, near a processor's cache; 268 MB on a GPU)."""


@dataclass(frozen=True)
class AttentionSpec:
    """Which attention is the policy. Defaults are the paper's.

    layers: decoder layers, negative counts from the last; divergences are averaged over them.
    heads:  "mean", or the indices of the heads that are averaged.
    query:  "self", the generated token's own position; "previous", the position that produced it.
    keys:   "all" earlier positions, those of the "prompt", or its "visual" ones; the rows are renormalised over these.
    """

    layers: Sequence[int] = (-1,)
    heads: str | Sequence[int] = "mean"
    query: str = "self"
    keys: str = "all"

    def __post_init__(self) -> None:
        if self.query not in ("self", "previous"):
            raise ValueError(f"attention_policy.query is {self.query!r}: write self or previous")
        if self.keys not in ("all", "prompt", "visual"):
            raise ValueError(f"attention_policy.keys is {self.keys!r}: write all, prompt or visual")
        if isinstance(self.heads, str) and self.heads != "mean":
            raise ValueError(f"attention_policy.heads is {self.heads!r}: write mean or a list of head indices")
        if not len(self.layers):
            raise ValueError("attention_policy.layers is empty: name at least one decoder layer, such as [-1]")

    def resolve_layers(self, depth: int) -> tuple[int, ...]:
        """Layer indices in 0..depth-1. ValueError names a layer that the model does not have."""
        for layer in self.layers:
            if not -depth <= layer < depth:
                raise ValueError(f"attention_policy.layers names layer {layer}, but the model has {depth} layers")
        return tuple(layer % depth for layer in self.layers)


def policy_rows(
    query: Float[Tensor, "B H R G c D"],
    prompt_keys: Float[Tensor, "B H P D"],
    response_keys: Float[Tensor, "B H G C D"],
    attend: Bool[Tensor, "B G c K"],
    keep: Bool[Tensor, "B G c K"],
    scaling: float,
) -> Float[Tensor, "B G c K"]:
    """Eq. 2 for c queries of each of G responses, K = P + C. fp32 (or wider). H key heads, each read by R query heads.

    attend: keys that the softmax runs over; keep: keys that remain in p^t (own position out). Rows where nothing is
    kept are all zero. Queries and keys that count nowhere must be finite: 0 * NaN would reach the other gradients.
    """
    wide = torch.promote_types(query.dtype, torch.float32)
    with torch.autocast(query.device.type, enabled=False):  # it would make the products half precision again
        query = query.to(wide) * scaling
        on_prompt = torch.einsum("bhrgcd,bhpd->bhrgcp", query, prompt_keys.to(wide))
        on_response = torch.einsum("bhrgcd,bhgkd->bhrgck", query, response_keys.to(wide))
    scores = torch.cat([on_prompt, on_response], dim=-1).masked_fill(~attend[:, None, None], -torch.inf)
    return renormalise(torch.softmax(scores, dim=-1).mean(dim=(1, 2)), keep)


@dataclass(frozen=True)
class CapturedAttention:
    """Queries and keys of the chosen layers for the responses of one forward pass (with their graph, when it has one).

    query [L][B H R G C D], prompt_keys [L][B H P D], response_keys [L][B H G C D], restricted to the chosen heads;
    a prompt's keys are held once, not once a response. prompt_valid, visual [B P]; mask [N C], N = B * G.
    """

    query: tuple[Tensor, ...]
    prompt_keys: tuple[Tensor, ...]
    response_keys: tuple[Tensor, ...]
    prompt_valid: Tensor
    visual: Tensor
    mask: Tensor
    scaling: float
    spec: AttentionSpec

    def _own(self) -> Tensor:
        """The mask of response tokens by prompt, [B G C]."""
        return self.mask.unflatten(0, (self.prompt_valid.shape[0], -1))

    def _masks(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """attend and keep for response positions start..stop, each [B G c K]."""
        mask = self._own()
        at = torch.arange(mask.shape[-1], device=mask.device)
        earlier = (at[None] < at[start:stop, None]) & mask[:, :, None]  # [B G c C], strictly before the token
        itself = (at[None] == at[start:stop, None]).expand_as(earlier)
        seen = earlier | itself if self.spec.query == "self" else earlier
        shape = (*mask.shape[:2], stop - start, self.prompt_valid.shape[1])
        prompt = self.prompt_valid[:, None, None].expand(shape)
        attend = torch.cat([prompt, seen], dim=-1)
        kept_prompt = self.visual[:, None, None].expand(shape) & prompt if self.spec.keys == "visual" else prompt
        kept_own = earlier if self.spec.keys == "all" else torch.zeros_like(earlier)
        keep = torch.cat([kept_prompt, kept_own], dim=-1) & mask[:, :, start:stop, None]
        return attend, keep

    def _chunk_rows(self, layer: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Rows of response positions start..stop and the keys kept in them, each [N c K]; padding counts as zeros."""
        attend, keep = self._masks(start, stop)
        outside = ~self._own()
        query = self.query[layer][..., start:stop, :].masked_fill(outside[:, None, None, :, start:stop, None], 0.0)
        prompt_keys = self.prompt_keys[layer].masked_fill(~self.prompt_valid[:, None, :, None], 0.0)
        response_keys = self.response_keys[layer].masked_fill(outside[:, None, :, :, None], 0.0)
        rows = policy_rows(query, prompt_keys, response_keys, attend, keep, self.scaling)
        return rows.flatten(0, 1), keep.flatten(0, 1)

    def _chunks(self, size: int | None) -> list[tuple[int, int]]:
        """Ranges of response positions of at most `size`; None: as many as SCORES_AT_ONCE allows."""
        (count, length), prompt = self.mask.shape, self.prompt_valid.shape[1]
        if size is None:
            heads = self.query[0].shape[1] * self.query[0].shape[2]
            budget = SCORES_AT_ONCE.get(self.mask.device.type, SCORES_AT_ONCE["cpu"])
            size = max(budget // (count * heads * (prompt + length)), 1)
        return [(start, min(start + size, length)) for start in range(0, length, size)]

    def pieces(self, chunk: int | None = None) -> Iterator[tuple[slice, Float[Tensor, "L N c K"]]]:
        """The attention policy of some response positions at a time, all layers; zero rows where mask is False."""
        for start, stop in self._chunks(chunk):
            rows = [self._chunk_rows(layer, start, stop)[0] for layer in range(len(self.query))]
            yield slice(start, stop), torch.stack(rows)

    def rows(self, chunk: int | None = None) -> Float[Tensor, "L N C K"]:
        """The attention policy of all response positions."""
        return torch.cat([rows for _, rows in self.pieces(chunk)], dim=2)

    def compare(self, anchor: Tensor, measure: Divergence, chunk: int | None = None) -> Float[Tensor, "N C"]:
        """measure(p_theta^t, anchor^t) averaged over layers, [N C]; anchor [L N C K]. Backward recomputes each chunk.

        What the anchor holds at keys outside Eq. 2 (padding, the token itself and later ones) is not looked at.
        """
        want = (len(self.query), *self.mask.shape, self.prompt_valid.shape[1] + self.mask.shape[1])
        if anchor.shape != want:
            raise ValueError(f"anchor rows have shape {tuple(anchor.shape)}, expected [L N C K] = {want}")

        def piece(layer: int, start: int, stop: int) -> Tensor:
            rows, keep = self._chunk_rows(layer, start, stop)
            return measure(rows, anchor[layer, :, start:stop].masked_fill(~keep, 0.0))

        layers = range(len(self.query))
        values = [
            torch.cat([checkpoint(piece, i, a, b, use_reentrant=False) for a, b in self._chunks(chunk)], dim=1)
            for i in layers
        ]
        return torch.stack(values).mean(0)


def row_entropy(rows: Float[Tensor, "*rows K"]) -> Float[Tensor, "*rows"]:
    """Entropy of attention rows in nats; 0 for an all-zero row."""
    return -(rows * rows.clamp_min(torch.finfo(rows.dtype).tiny).log()).sum(-1)


def share_on(rows: Float[Tensor, "L N C K"], keys: Bool[Tensor, "N P"]) -> Float[Tensor, "N C"]:
    """Share of the attention policy on some of the prompt's keys, averaged over layers; in [0, 1]."""
    return (rows[..., : keys.shape[1]] * keys[None, :, None]).sum(-1).mean(0)


def renormalise(rows: Float[Tensor, "*rows P"], keep: Bool[Tensor, "*rows P"]) -> Float[Tensor, "*rows P"]:
    """Rows restricted to the kept keys and renormalised; all zero where nothing is kept.

    A kept mass below the square root of the smallest normal number (1e-19 in fp32) is nothing: the gradient of a
    division by less overflows.
    """
    least = torch.finfo(rows.dtype).tiny ** 0.5
    kept = rows.masked_fill(~keep, 0.0)
    mass = kept.sum(-1, keepdim=True)
    return kept.masked_fill(mass < least, 0.0) / mass.clamp_min(least)
