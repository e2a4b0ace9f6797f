"""Functions of attention rows, computed piece by piece (ral.ops.pieces), with a backward pass that keeps no rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from ral.ops.divergence import Divergence
from ral.ops.pieces import Piece, Pieces

Place = tuple[int | slice, ...]
"""Index of one piece's values in a reader's result for the whole batch."""


@runtime_checkable
class Reader(Protocol):
    """Differentiable function of the attention rows of a piece, and the place of its values in the batch's result."""

    def empty(self, pieces: Pieces, kind: torch.dtype) -> Float[Tensor, "B G *rest"]:
        """Return the result of the batch before any piece is read, [B G c ...], of dtype `kind`."""
        ...

    def place(self, pieces: Pieces, piece: Piece) -> Place:
        """Return the index of a piece's values in the result for the whole batch, the tensor that `empty` returns."""
        ...

    def __call__(self, pieces: Pieces, piece: Piece, weights: Float[Tensor, "g c k"]) -> Float[Tensor, "g c *rest"]:
        """Return the values of a piece from its attention weights [g c k], averaged over heads."""
        ...


@dataclass(frozen=True)
class WholeRows:
    """Reader of the attention rows themselves, [B G c P+C] for the c positions within Pieces.limits."""

    def empty(self, pieces: Pieces, kind: torch.dtype) -> Float[Tensor, "B G *rest"]:
        """Return the result before any piece is read: zeros [B G c P+C] of dtype `kind`."""
        batch, group, length = pieces.mask.shape
        low, high, keys = pieces.limits.low, pieces.limits.high, pieces.prompt.valid.shape[1] + length
        count = (length if high is None else min(high, length)) - low
        return torch.zeros(batch, group, count, keys, dtype=kind, device=pieces.mask.device)

    def place(self, pieces: Pieces, piece: Piece) -> Place:
        """Return the index of the piece's tokens and of keys from the prompt's first valid one to the last token."""
        b, groups, _ = piece.tokens
        low, keys = pieces.limits.low, slice(piece.pad, pieces.prompt.valid.shape[1] + piece.stop)
        return b, groups, slice(piece.start - low, piece.stop - low), keys

    def __call__(self, pieces: Pieces, piece: Piece, weights: Float[Tensor, "g c k"]) -> Float[Tensor, "g c *rest"]:
        """Return the attention rows of a piece: RAL, Eq. 2."""
        return pieces.rows(piece, weights)


@dataclass(frozen=True)
class Divergences:
    """Reader of measure(row, anchor's row), [B G C]. anchor: attention rows; keys outside RAL's Eq. 2 are not read."""

    anchor: Float[Tensor, "B G C K"]
    measure: Divergence

    def empty(self, pieces: Pieces, kind: torch.dtype) -> Float[Tensor, "B G *rest"]:
        """Return the result before any piece is read: zeros [B G C] of dtype `kind`."""
        return torch.zeros(pieces.mask.shape, dtype=kind, device=pieces.mask.device)

    def place(self, pieces: Pieces, piece: Piece) -> Place:
        """Return the index of the piece's tokens in [B G C]."""
        return piece.tokens

    def __call__(self, pieces: Pieces, piece: Piece, weights: Float[Tensor, "g c k"]) -> Float[Tensor, "g c *rest"]:
        """Return the divergence of every token: D of RAL, Eq. 3."""
        anchor = self.anchor[piece.tokens][..., piece.pad : pieces.prompt.valid.shape[1] + piece.stop]
        return self.measure(pieces.rows(piece, weights), anchor.masked_fill(~pieces.keep(piece), 0.0))


class Read(torch.autograd.Function):
    """Autograd function of one layer: (query, prompt_keys, response_keys, pieces, reader) -> values [B G c ...]."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Float[Tensor, "B Hkv R G C D"],
        before: Float[Tensor, "B Hkv P D"],
        own: Float[Tensor, "B Hkv G C D"],
        pieces: Pieces,
        reader: Reader,
    ) -> Float[Tensor, "B G *rest"]:
        """Return the reader's values of all pieces, fp32 or wider; before, own: keys of prompts and of responses."""
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
        """Return the gradients of query, prompt keys and response keys; pieces without a gradient are skipped."""
        pieces, reader, tensors = ctx.pieces, ctx.reader, ctx.saved_tensors
        heads, wide = tensors[0].shape[1] * tensors[0].shape[2], grads[0].dtype
        found = [torch.zeros(x.shape, dtype=wide, device=x.device) for x in tensors]
        wanted = (grads[0] != 0).flatten(2).any(2).tolist()  # a response with advantage 0 needs no pass
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
    """Return the gradient in every head's scores, s_i (c_i - sum_j s_j c_j); cost: c, the gradient in its weights s.

    RAL (arXiv 2602.04884), section 3.4: dJ/de_i for one softmax; docs/method.md, "The gradient", for the mean of heads.
    Overwrites `weights`.
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
    """Add a piece's gradients to `found`, in place: those of query, prompt keys and response keys.

    found: sums so far. grad: gradient in the attention scores. query, keys: result of `Pieces.parts`. scaling: factor
    of q k^T.

    The chain rule through q k^T, docs/method.md, "The gradient"; not in the paper.
    """
    b, groups, tokens = piece.tokens
    flat = grad.flatten(2, 3)
    found[0][b, :, :, groups, tokens] += (flat @ keys).unflatten(2, grad.shape[2:4]).transpose(1, 2) * scaling
    on_keys = flat.mT @ query
    prompt = keys.shape[2] - piece.stop
    found[1][b, :, piece.pad :] += on_keys[:, :, :prompt].sum(1)
    found[2][b, :, groups, : piece.stop] += on_keys[:, :, prompt:]
