"""Attention rows token by token: which ones to keep, and those of one response.

An attention row is the attention of one token over earlier positions, the attention policy of RAL (arXiv 2602.04884,
Eq. 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

from ral.types.prompts import Grid

Query = Literal["self", "previous"]
"""Position whose query gives a token's row: "self", the token's own, or "previous", the one that predicts the token."""


@dataclass(frozen=True)
class RowChoice:
    """Choice of the attention rows to keep of each token: for each query and layer, the row averaged over all heads.

    The rows of the single heads can be kept beside that mean. queries: the positions whose queries give rows. layers:
    indices among the decoder layers with softmax attention, from 0. heads: number of single heads whose rows are kept:
    all of a layer's, or 0 to keep the mean alone.
    """

    queries: tuple[Query, ...]
    layers: tuple[int, ...]
    heads: int

    @property
    def rows(self) -> int:
        """Return the number of rows kept of each token."""
        return len(self.queries) * len(self.layers) * (1 + self.heads)


@dataclass(frozen=True)
class TokenRows:
    """Attention of T tokens of one response on the visual tokens of the first image or video.

    weights [Q L H T V] fp32: shares of the token's whole attention, so that sums over V are at most 1. Q queries and L
    layers as in `chosen`; along H the mean over heads, then each single head that is kept; V visual tokens.
    grid: (time, rows, columns) of the V visual tokens. tokens: the T tokens as text; in_answer: which of them stand in
    the answer block. seconds_per_slot: time that one temporal slot of a video spans; 0 for an image.
    inside [V] bool: visual tokens on the evidence; None where the evidence is not known.
    """

    chosen: RowChoice
    tokens: tuple[str, ...]
    in_answer: tuple[bool, ...]
    grid: Grid
    seconds_per_slot: float
    weights: Float[Tensor, "Q L H T V"]
    inside: Bool[Tensor, " V"] | None
