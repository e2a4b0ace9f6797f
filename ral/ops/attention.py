"""The attention policy of RAL (arXiv 2602.04884), Eq. 2: for a generated token, a distribution over earlier positions.

AttentionSpec chooses layers, heads, queries and keys. CapturedAttention holds queries and keys that a forward pass
computed anyway, queries of response tokens only. The equation itself is in ral.ops.pieces. No tensor of size
[heads, T, T] exists (T = P + C), and no [N, C, K] activation is kept for the backward pass. Axes: `ral.types`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ral.ops.divergence import Divergence
from ral.ops.layers import resolve_layers
from ral.ops.pieces import Limits, OwnKeys, Pieces, PromptKeys
from ral.ops.pieces import renormalise as renormalise
from ral.ops.readers import Divergences, Read, Reader, WholeRows

SCORES_AT_ONCE = {"cpu": 2**22, "cuda": 2**26}
"""Number of attention scores, over all heads, that exist at once, by device (fp32: 17 MB on CPU, 268 MB on CUDA)."""


@dataclass(frozen=True)
class AttentionSpec:
    """Choice of the attention that is the policy. Defaults are the paper's. ValueError for values that are not listed.

    layers: indices among the decoder layers with softmax attention (layers of linear attention are not counted);
            negative ones count from the last. Divergences are averaged over them.
    heads:  "mean" over all query heads, or the indices of the heads to average.
    query:  "self", the generated token's own position; "previous", the position before it, which predicted it.
    keys:   "all" earlier positions, those of the "prompt", or "visual" tokens; rows are renormalised over these.
    """

    layers: Sequence[int] = (-1,)
    heads: Literal["mean"] | Sequence[int] = "mean"
    query: Literal["self", "previous"] = "self"
    keys: Literal["all", "prompt", "visual"] = "all"

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
        """Return the layers as indices in 0..depth-1. ValueError names a layer that does not exist or is named twice.

        depth: number of decoder layers with softmax attention. RAL (arXiv 2602.04884), Eq. 2 takes the last layer, -1.
        """
        return resolve_layers(self.layers, depth)

    def kept(self, valid: Bool[Tensor, "B P"], visual: Bool[Tensor, "B P"]) -> Bool[Tensor, "B P"]:
        """Return a mask of the prompt positions that remain in the attention rows.

        valid: positions that are no padding; visual: positions of visual tokens. RAL (arXiv 2602.04884), Eq. 2 keeps
        all that are valid; keys="visual" is not in the paper.
        """
        return visual & valid if self.keys == "visual" else valid


@dataclass(frozen=True)
class QueriesAndKeys:
    """Queries and keys of one layer, of the chosen heads alone. Prompt keys are held once for all G responses.

    D: width of a head.
    """

    query: Float[Tensor, "B Hkv R G C D"]
    prompt_keys: Float[Tensor, "B Hkv P D"]
    response_keys: Float[Tensor, "B Hkv G C D"]


@dataclass(frozen=True)
class CapturedAttention:
    """Queries and keys of the L chosen layers for the responses of one forward pass, with their graph if it built one.

    prompt_valid, visual [B P]: prompt tokens that are no padding, and the visual ones among them. mask [N C], N = B *
    G: response tokens that have an attention row (sampled ones). valid [N C]: response tokens that may be attended to;
    None where these are those of mask. own_visual [N C]: visual tokens of the responses; None where they have none.
    scaling: factor of q k^T. spec: the choice of heads, query and keys.
    """

    layers: tuple[QueriesAndKeys, ...]
    prompt_valid: Bool[Tensor, "B P"]
    visual: Bool[Tensor, "B P"]
    mask: Bool[Tensor, "N C"]
    scaling: float
    spec: AttentionSpec
    valid: Bool[Tensor, "N C"] | None = None
    own_visual: Bool[Tensor, "N C"] | None = None

    def on(self, keys: Literal["all", "prompt", "visual"]) -> CapturedAttention:
        """Return the same captured attention with AttentionSpec.keys replaced by `keys`.

        RAL, Eq. 2 takes "all"; the others are options.
        """
        return replace(self, spec=replace(self.spec, keys=keys))

    def of_head(self, head: int) -> CapturedAttention:
        """Return the same attention of one query head alone, from 0 to H - 1. Only for a capture with heads="mean".

        RAL, Eq. 2 averages over the heads; a single head is an option.
        """

        def one(layer: QueriesAndKeys) -> QueriesAndKeys:
            group, place = divmod(head, layer.query.shape[2])
            of_group, own = slice(group, group + 1), slice(place, place + 1)
            return QueriesAndKeys(
                layer.query[:, of_group, own], layer.prompt_keys[:, of_group], layer.response_keys[:, of_group]
            )

        return replace(self, layers=tuple(map(one, self.layers)), spec=replace(self.spec, heads=(head,)))

    def on_pictures_of_the_prompt(self) -> CapturedAttention:
        """Return the same attention restricted to visual tokens of the prompt, not of responses. Not in the paper."""
        return replace(self.on("visual"), own_visual=None)

    def _by_prompt(self, mask: Bool[Tensor, "N C"]) -> Bool[Tensor, "B G C"]:
        """Fold a mask of response tokens by prompt, [N C] -> [B G C]."""
        return mask.unflatten(0, (self.prompt_valid.shape[0], -1))

    def _pieces(self, chunk: int | None, low: int = 0, high: int | None = None) -> Pieces:
        """Return masks and limits of Eq. 2 for response positions low..high (None: the end), chunk of them a piece."""
        spec = self.spec
        seen = self.own_visual if spec.keys == "visual" else None
        return Pieces(
            prompt=PromptKeys(self.prompt_valid, spec.kept(self.prompt_valid, self.visual)),
            own=OwnKeys(
                valid=None if self.valid is None else self._by_prompt(self.valid),
                kept=None if seen is None else self._by_prompt(seen),
                earlier=spec.keys == "all" or seen is not None,
                itself=spec.query == "self",
            ),
            mask=self._by_prompt(self.mask),
            scaling=self.scaling,
            limits=Limits(self._budget(), chunk, low, high),
        )

    def _budget(self) -> int:
        return SCORES_AT_ONCE.get(self.mask.device.type, SCORES_AT_ONCE["cpu"])

    def _read(self, pieces: Pieces, readers: Sequence[Reader]) -> Tensor:
        """Return the values of one reader for each layer, [L N c ...]."""
        values = [
            Read.apply(layer.query, layer.prompt_keys, layer.response_keys, pieces, reader)
            for layer, reader in zip(self.layers, readers, strict=True)
        ]
        return torch.stack(values).flatten(1, 2)

    def pieces(self, chunk: int | None = None) -> Iterator[tuple[slice, Float[Tensor, "L N c K"]]]:
        """Yield (response positions, their attention rows [L N c K]) of RAL, Eq. 2; zero where mask is False.

        chunk: number of positions c in each; None for as many as SCORES_AT_ONCE allows.
        """
        (count, length), prompt = self.mask.shape, self.prompt_valid.shape[1]
        size = max(self._budget() // (count * (prompt + length)), 1) if chunk is None else chunk
        for start in range(0, length, size):
            high = min(start + size, length)
            yield slice(start, high), self._read(self._pieces(chunk, start, high), [WholeRows()] * len(self.layers))

    def rows(self, chunk: int | None = None) -> Float[Tensor, "L N C K"]:
        """Return the attention rows (RAL, Eq. 2) of all response positions, fp32 or wider; zero where mask is False.

        chunk: positions computed at once; None for as many as SCORES_AT_ONCE allows.
        """
        return self._read(self._pieces(chunk), [WholeRows()] * len(self.layers))

    def compare(
        self, anchor: Float[Tensor, "L N C K"], measure: Divergence, chunk: int | None = None
    ) -> Float[Tensor, "N C"]:
        """Return measure(p_theta^t, anchor^t) averaged over layers, [N C], nats: D of RAL, Eq. 3.

        anchor: attention rows to compare with. chunk: response positions computed at once; None for as many as
        SCORES_AT_ONCE allows. The backward pass computes attention rows again instead of keeping them. Anchor values at
        keys outside Eq. 2 (padding, the token itself, later ones) are not read. ValueError for an anchor of another
        shape than [L N C K].
        """
        want = (len(self.layers), *self.mask.shape, self.prompt_valid.shape[1] + self.mask.shape[1])
        if anchor.shape != want:
            raise ValueError(f"anchor rows have shape {tuple(anchor.shape)}, expected [L N C K] = {want}")
        own = anchor.unflatten(1, (self.prompt_valid.shape[0], -1))
        return self._read(self._pieces(chunk), [Divergences(rows, measure) for rows in own]).mean(0)


def row_entropy(rows: Float[Tensor, "*rows K"]) -> Float[Tensor, "*rows"]:
    """Compute the entropy of each attention row in nats; 0 for an all-zero row.

    Shannon entropy of the policy of RAL (arXiv 2602.04884), Eq. 2; a measurement that is not in the paper.
    """
    return -(rows * rows.clamp_min(torch.finfo(rows.dtype).tiny).log()).sum(-1)


def share_on(rows: Float[Tensor, "L N C K"], keys: Bool[Tensor, "N P"]) -> Float[Tensor, "N C"]:
    """Return each token's share of attention on the marked prompt tokens `keys`, averaged over layers; in [0, 1].

    A share of RAL's Eq. 2 (arXiv 2602.04884); a measurement that is not in the paper.
    """
    return (rows[..., : keys.shape[1]] * keys[None, :, None]).sum(-1).mean(0)
