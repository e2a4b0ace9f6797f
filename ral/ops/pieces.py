"""RAL (arXiv 2602.04884), Eq. 2, in pieces: the attention rows of one layer's response tokens.

a_{t,i}: attention weight from response position t to position i, softmax per head over all i <= t, averaged over heads.
p^t(i) = a_{t,i} / sum_{j < t} a_{t,j} for i < t: the token's own position is left out and the rest renormalised.

A piece is some tokens of some responses to one prompt. Its attention scores are one product with the keys of prompt and
response, without a mask or a copy of their size. The backward pass (ral.ops.readers) computes them again: autograd
differentiates from the value to the weights averaged over heads, the boxed formula of docs/method.md, "The gradient",
from there to the scores.

query [B Hkv R G C D], prompt_keys [B Hkv P D], response_keys [B Hkv G C D]: Hkv key heads, each read by R query heads,
of width D. Prompts are padded on the left, responses on the right. Results are fp32, or wider. Small letters g, c, k
are the responses, tokens and keys of a piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Piece:
    """Tokens start to stop - 1 of responses first to last - 1 to prompt b, whose first `pad` positions are padding."""

    b: int
    pad: int
    first: int
    last: int
    start: int
    stop: int

    @property
    def tokens(self) -> tuple[int, slice, slice]:
        """Return an index that picks the piece's tokens from a tensor [B G C]."""
        return self.b, slice(self.first, self.last), slice(self.start, self.stop)


@dataclass(frozen=True)
class PromptKeys:
    """Masks of prompt tokens as keys. valid: tokens over which the softmax runs; kept: tokens that stay in the rows."""

    valid: Bool[Tensor, "B P"]
    kept: Bool[Tensor, "B P"]


@dataclass(frozen=True)
class OwnKeys:
    """Masks of response tokens as keys. valid: tokens over which the softmax runs; None for those in Pieces.mask.

    kept: tokens that may stay in attention rows; None for all. earlier: whether earlier tokens of the response stay in
    the attention row at all. itself: whether the softmax runs over the token's own position.
    """

    valid: Bool[Tensor, "B G C"] | None
    kept: Bool[Tensor, "B G C"] | None
    earlier: bool
    itself: bool


@dataclass(frozen=True)
class Limits:
    """Limits of one computation of attention rows.

    scores: number of attention scores, over all heads, that may exist at once. chunk: response positions in a piece;
    None for as many as `scores` allows. low, high: bounds of the response positions to compute, high excluded; None for
    no upper bound.
    """

    scores: int
    chunk: int | None = None
    low: int = 0
    high: int | None = None


@dataclass(frozen=True)
class Pieces:
    """Masks and limits of a computation of attention rows; a call yields the pieces into which it is cut.

    prompt, own: masks of the keys. mask [B G C]: response tokens that have a row. scaling: factor of q k^T.
    """

    prompt: PromptKeys
    own: OwnKeys
    mask: Bool[Tensor, "B G C"]
    scaling: float
    limits: Limits

    def __call__(self, heads: int, wanted: Sequence[Sequence[bool]] | None = None) -> Iterator[Piece]:
        """Yield the pieces of the positions within the limits. heads: number of query heads.

        wanted [B G]: marks responses; pieces without a marked one are left out. None to yield all pieces.
        """
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
        """Return a mask of the keys that stay in the attention rows of a piece.

        Its k keys are the prompt's positions from `piece.pad` on, then the response's own tokens before `piece.stop`.
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
        """Return scaled queries [Hkv g R*c D] and keys [Hkv g k D] of a piece; zero at masked response tokens.

        before, own: keys of the prompt and of responses.

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
        """Compute the attention weights of every head over the prompt and the response up to each token.

        softmax(q k^T) of Vaswani et al. (arXiv 1706.03762), section 3.2.1, Eq. 1, causal; a_{t,i} of RAL (arXiv
        2602.04884), Eq. 2 before the mean over heads.
        """
        count = piece.stop - piece.start
        scores = (query @ keys.mT).unflatten(2, (-1, count))
        later = torch.ones(count, count, dtype=torch.bool, device=scores.device).triu(1 if self.own.itself else 0)
        scores[..., keys.shape[2] - count :].masked_fill_(later, -torch.inf)
        return torch.softmax(scores, dim=-1)

    def rows(self, piece: Piece, weights: Float[Tensor, "g c k"]) -> Float[Tensor, "g c k"]:
        """Renormalise weights averaged over heads over the kept keys (RAL, Eq. 2); zero where none is kept."""
        return renormalise(weights, self.keep(piece))


def ends(mask: Bool[Tensor, "B G C"]) -> Int[Tensor, "B G"]:
    """Return the index after the last True token of each response; 0 where it has none. Not in a paper."""
    after = torch.arange(1, mask.shape[2] + 1, device=mask.device)
    return torch.cat([torch.zeros_like(mask[..., :1], dtype=after.dtype), mask * after], dim=2).amax(2)


def renormalise(rows: Float[Tensor, "*rows P"], keep: Bool[Tensor, "*rows P"]) -> Float[Tensor, "*rows P"]:
    """Restrict rows to the kept keys and renormalise them to sum 1; all zero where nothing is kept.

    RAL (arXiv 2602.04884), Eq. 2. A row whose kept mass is below the square root of the smallest normal number (1e-19
    in fp32) becomes zero, since the gradient of a division by less overflows.
    """
    least = torch.finfo(rows.dtype).tiny ** 0.5
    kept = rows.masked_fill(~keep, 0.0)
    mass = kept.sum(-1, keepdim=True)
    return kept.masked_fill(mass < least, 0.0) / mass.clamp_min(least)
