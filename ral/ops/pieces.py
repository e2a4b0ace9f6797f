"""RAL (arXiv 2602.04884), Eq. 2, piece by piece, with its backward pass written out: rows of the attention policy.

a_{t,i}: attention weight from response position t to position i, softmax per head over all i <= t, averaged over heads.
p^t(i) = a_{t,i} / sum_{j < t} a_{t,j} for i < t: the token's own position is left out and the rest renormalised.

A piece is some tokens of some responses to one prompt. Its scores are one product over [prompt | own keys], without a
mask or a copy of their size. Nothing of that size is kept for the backward pass, which makes them once more; its last
link is the boxed formula of docs/method.md, "The gradient", and the first two, on weights averaged over heads, are
left to autograd.

One layer. query [B Hkv R G C D], prompt_keys [B Hkv P D], response_keys [B Hkv G C D]: Hkv key heads, each read by R
query heads. Prompts are padded on the left, responses on the right. What is computed is fp32, or wider.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ral.ops.divergence import Divergence

Place = tuple[int | slice, ...]
"""Where a piece's values stand in those of the batch."""


@dataclass(frozen=True)
class Piece:
    """Tokens start..stop of the responses first..last to prompt b, whose valid positions begin at `pad`."""

    b: int
    pad: int
    first: int
    last: int
    start: int
    stop: int

    @property
    def tokens(self) -> tuple[int, slice, slice]:
        """Return the index of the tokens in [B G C]."""
        return self.b, slice(self.first, self.last), slice(self.start, self.stop)


@dataclass(frozen=True)
class PromptKeys:
    """Prompt positions that the softmax runs over (valid), and those that remain in the row (kept)."""

    valid: Bool[Tensor, "B P"]
    kept: Bool[Tensor, "B P"]


@dataclass(frozen=True)
class OwnKeys:
    """A response's own tokens: those that the softmax runs over (valid), and those that may remain in the row (kept).

    valid: None for the tokens with a row; kept: None for all. earlier: whether earlier own tokens remain in the row;
    itself: whether the softmax runs over the token's own position.
    """

    valid: Bool[Tensor, "B G C"] | None
    kept: Bool[Tensor, "B G C"] | None
    earlier: bool
    itself: bool


@dataclass(frozen=True)
class Limits:
    """Bounds of the computation of rows.

    scores: how many exist at once; chunk: tokens at once, None for as many as `scores` allows. low, high: the response
    positions asked for; None for all from `low` on.
    """

    scores: int
    chunk: int | None = None
    low: int = 0
    high: int | None = None


@dataclass(frozen=True)
class Pieces:
    """Masks and limits of the computation of rows; queries and keys come beside them.

    mask [B G C]: response tokens with a row. scaling: of the products of queries and keys.
    """

    prompt: PromptKeys
    own: OwnKeys
    mask: Bool[Tensor, "B G C"]
    scaling: float
    limits: Limits

    def __call__(self, heads: int, wanted: Sequence[Sequence[bool]] | None = None) -> Iterator[Piece]:
        """Yield pieces that hold a token of low..high; wanted [B G]: those with one of these responses alone."""
        pads, lengths = self.prompt.valid.int().argmax(1).tolist(), ends(self.mask).tolist()
        limits, prompt, longest = self.limits, self.prompt.valid.shape[1], max(self.mask.shape[2], 1)
        for b, pad in enumerate(pads):
            fitting = max(limits.scores // (heads * (prompt - pad + longest)), 1)
            tokens = fitting if limits.chunk is None else limits.chunk
            width = max(tokens // longest, 1)
            for first in range(0, len(lengths[b]), width):
                last = min(first + width, len(lengths[b]))
                if wanted is not None and not any(wanted[b][first:last]):
                    continue
                end = max(lengths[b][first:last])
                end = end if limits.high is None else min(end, limits.high)
                for start in range(limits.low, end, tokens):
                    yield Piece(b, pad, first, last, start, min(start + tokens, end))

    def keep(self, piece: Piece) -> Bool[Tensor, "g c k"]:
        """Mark the keys that remain in the rows of a piece; k = valid prompt positions, and own tokens up to stop.

        RAL (arXiv 2602.04884), Eq. 2: i in [1, t - 1].
        """
        at = torch.arange(piece.stop, device=self.mask.device)
        own = (at[None] < at[piece.start :, None]) & self.own.earlier  # strictly before the token
        prompt = self.prompt.kept[piece.b, piece.pad :].expand(len(own), -1)
        if self.own.kept is None:
            return torch.cat([prompt, own], dim=-1) & self.mask[piece.tokens][..., None]
        b, groups, _ = piece.tokens
        mine = own & self.own.kept[b, groups, None, : piece.stop]
        return torch.cat([prompt.expand(len(mine), -1, -1), mine], dim=-1) & self.mask[piece.tokens][..., None]

    def parts(
        self,
        piece: Piece,
        query: Float[Tensor, "B Hkv R G C D"],
        before: Float[Tensor, "B Hkv P D"],
        own: Float[Tensor, "B Hkv G C D"],
    ) -> tuple[Float[Tensor, "Hkv g Rc D"], Float[Tensor, "Hkv g k D"]]:
        """Return scaled queries [Hkv g R*c D] and keys [Hkv g k D] of a piece; zero where the mask is False.

        Scaled dot products: Vaswani et al. (arXiv 1706.03762), section 3.2.1, Eq. 1.
        """
        b, groups, tokens = piece.tokens
        wide = torch.promote_types(query.dtype, torch.float32)
        mask = self.mask[b, groups]
        valid = mask if self.own.valid is None else self.own.valid[b, groups]
        q = query[b, :, :, groups, tokens].masked_fill(~mask[None, None, :, tokens, None], 0.0).to(wide)
        mine = own[b, :, groups, : piece.stop].masked_fill(~valid[None, :, : piece.stop, None], 0.0).to(wide)
        prompt = before[b, :, None, piece.pad :].to(wide).expand(-1, mine.shape[1], -1, -1)
        return (q * self.scaling).transpose(1, 2).flatten(2, 3), torch.cat([prompt, mine], dim=2)

    def weights(
        self, piece: Piece, query: Float[Tensor, "Hkv g Rc D"], keys: Float[Tensor, "Hkv g k D"]
    ) -> Float[Tensor, "Hkv g R c k"]:
        """Compute the attention weights of every head, over the prompt and the own tokens up to each.

        softmax(q k^T) of Vaswani et al. (arXiv 1706.03762), section 3.2.1, Eq. 1, causal; a_{t,i} of RAL (arXiv
        2602.04884), Eq. 2 before the mean over heads.
        """
        count = piece.stop - piece.start
        scores = (query @ keys.mT).unflatten(2, (-1, count))
        later = torch.ones(count, count, dtype=torch.bool, device=scores.device).triu(1 if self.own.itself else 0)
        scores[..., keys.shape[2] - count :].masked_fill_(later, -torch.inf)
        return torch.softmax(scores, dim=-1)

    def rows(self, piece: Piece, weights: Float[Tensor, "g c k"]) -> Float[Tensor, "g c k"]:
        """Renormalise weights that were averaged over heads (RAL, Eq. 2); zero where nothing is kept."""
        return renormalise(weights, self.keep(piece))


def ends(mask: Bool[Tensor, "B G C"]) -> Int[Tensor, "B G"]:
    """Return where the last True token of each response ends; 0 without any. Not in a paper."""
    after = torch.arange(1, mask.shape[2] + 1, device=mask.device)
    return torch.cat([torch.zeros_like(mask[..., :1], dtype=after.dtype), mask * after], dim=2).amax(2)


@runtime_checkable
class Reader(Protocol):
    """A function of the rows of a piece, differentiable, and the place of its values."""

    def empty(self, pieces: Pieces, kind: torch.dtype) -> Float[Tensor, "B G *rest"]:
        """Return the values of the batch before any piece is read, [B G c ...]."""
        ...

    def place(self, pieces: Pieces, piece: Piece) -> Place:
        """Return the index of a piece's values."""
        ...

    def __call__(self, pieces: Pieces, piece: Piece, weights: Float[Tensor, "g c k"]) -> Float[Tensor, "g c *rest"]:
        """Return the values of a piece; weights [g c k], averaged over heads."""
        ...


@dataclass(frozen=True)
class WholeRows:
    """The rows themselves, [B G c P+C] for the c positions asked for."""

    def empty(self, pieces: Pieces, kind: torch.dtype) -> Float[Tensor, "B G *rest"]:
        """Return zeros."""
        batch, group, length = pieces.mask.shape
        low, high, keys = pieces.limits.low, pieces.limits.high, pieces.prompt.valid.shape[1] + length
        count = (length if high is None else min(high, length)) - low
        return torch.zeros(batch, group, count, keys, dtype=kind, device=pieces.mask.device)

    def place(self, pieces: Pieces, piece: Piece) -> Place:
        """Return the columns from the first valid position of the prompt to the piece's last own token."""
        b, groups, _ = piece.tokens
        low, keys = pieces.limits.low, slice(piece.pad, pieces.prompt.valid.shape[1] + piece.stop)
        return b, groups, slice(piece.start - low, piece.stop - low), keys

    def __call__(self, pieces: Pieces, piece: Piece, weights: Float[Tensor, "g c k"]) -> Float[Tensor, "g c *rest"]:
        """Return the rows of RAL, Eq. 2."""
        return pieces.rows(piece, weights)


@dataclass(frozen=True)
class Divergences:
    """Reader of measure(row, anchor's row), [B G C]; anchor [B G C P+C], whose keys outside Eq. 2 are not read."""

    anchor: Float[Tensor, "B G C K"]
    measure: Divergence

    def empty(self, pieces: Pieces, kind: torch.dtype) -> Float[Tensor, "B G *rest"]:
        """Return zeros."""
        return torch.zeros(pieces.mask.shape, dtype=kind, device=pieces.mask.device)

    def place(self, pieces: Pieces, piece: Piece) -> Place:
        """Return the index of one value a token."""
        return piece.tokens

    def __call__(self, pieces: Pieces, piece: Piece, weights: Float[Tensor, "g c k"]) -> Float[Tensor, "g c *rest"]:
        """Return the divergence of every token: D of RAL, Eq. 3."""
        anchor = self.anchor[piece.tokens][..., piece.pad : pieces.prompt.valid.shape[1] + piece.stop]
        return self.measure(pieces.rows(piece, weights), anchor.masked_fill(~pieces.keep(piece), 0.0))


class Read(torch.autograd.Function):
    """A function with a backward pass: (query, prompt_keys, response_keys, pieces, reader) -> values, [B G c ...]."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Float[Tensor, "B Hkv R G C D"],
        before: Float[Tensor, "B Hkv P D"],
        own: Float[Tensor, "B Hkv G C D"],
        pieces: Pieces,
        reader: Reader,
    ) -> Float[Tensor, "B G *rest"]:
        out = reader.empty(pieces, torch.promote_types(query.dtype, torch.float32))
        with torch.autocast(query.device.type, enabled=False):  # it would make the products half precision again
            for piece in pieces(query.shape[1] * query.shape[2]):
                weights = pieces.weights(piece, *pieces.parts(piece, query, before, own))
                out[reader.place(pieces, piece)] = reader(pieces, piece, weights.mean((0, 2)))
        ctx.save_for_backward(query, before, own)
        ctx.pieces, ctx.reader = pieces, reader
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Float[Tensor, "B G *rest"]) -> tuple[Tensor | None, ...]:
        pieces, reader, tensors = ctx.pieces, ctx.reader, ctx.saved_tensors
        heads, wide = tensors[0].shape[1] * tensors[0].shape[2], grads[0].dtype
        found = [torch.zeros(x.shape, dtype=wide, device=x.device) for x in tensors]
        wanted = (grads[0] != 0).flatten(2).any(2).tolist()  # responses without an advantage cost nothing
        with torch.autocast(tensors[0].device.type, enabled=False):
            for piece in pieces(heads, wanted):
                query, keys = pieces.parts(piece, *tensors)
                weights = pieces.weights(piece, query, keys)
                with torch.enable_grad():
                    mean = weights.mean((0, 2)).requires_grad_()
                    (cost,) = torch.autograd.grad(
                        reader(pieces, piece, mean), mean, grads[0][reader.place(pieces, piece)]
                    )
                add(found, piece, query, keys, scores_gradient(weights, cost / heads), pieces.scaling)
        return *(g.to(x.dtype) for g, x in zip(found, tensors, strict=True)), None, None


def scores_gradient(
    weights: Float[Tensor, "Hkv g R c k"], cost: Float[Tensor, "g c k"]
) -> Float[Tensor, "Hkv g R c k"]:
    """Return the gradient in every head's scores: s_i (c_i - sum_j s_j c_j), c the cost of its weights.

    RAL (arXiv 2602.04884), section 3.4: dJ/de_i for one softmax; docs/method.md, "The gradient", for the mean of heads.
    Writes into `weights`, which are no longer needed.
    """
    moved = weights * cost[None, :, None]
    return moved.sub_(weights.mul_(moved.sum(-1, keepdim=True)))


def add(
    found: Sequence[Float[Tensor, "B H ..."]],
    piece: Piece,
    query: Float[Tensor, "Hkv g Rc D"],
    keys: Float[Tensor, "Hkv g k D"],
    grad: Float[Tensor, "Hkv g R c k"],
    scaling: float,
) -> None:
    """Add a piece's gradients of query, prompt keys and own keys to those found so far. grad: of the scores.

    The chain rule through q k^T, docs/method.md, "The gradient"; not in the paper.
    """
    b, groups, tokens = piece.tokens
    flat = grad.flatten(2, 3)
    found[0][b, :, :, groups, tokens] += (flat @ keys).unflatten(2, grad.shape[2:4]).transpose(1, 2) * scaling
    on_keys = flat.mT @ query
    prompt = keys.shape[2] - piece.stop
    found[1][b, :, piece.pad :] += on_keys[:, :, :prompt].sum(1)
    found[2][b, :, groups, : piece.stop] += on_keys[:, :, prompt:]


def renormalise(rows: Float[Tensor, "*rows P"], keep: Bool[Tensor, "*rows P"]) -> Float[Tensor, "*rows P"]:
    """Restrict rows to the kept keys and renormalise them; all zero where nothing is kept.

    RAL (arXiv 2602.04884), Eq. 2. A kept mass below the square root of the smallest normal number (1e-19 in fp32) is
    nothing: the gradient of a division by less overflows.
    """
    least = torch.finfo(rows.dtype).tiny ** 0.5
    kept = rows.masked_fill(~keep, 0.0)
    mass = kept.sum(-1, keepdim=True)
    return kept.masked_fill(mass < least, 0.0) / mass.clamp_min(least)
