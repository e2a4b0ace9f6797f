"""Rows of Eq. 2 token by token: what of them is kept, and those of one response."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

from ral.types.prompts import Grid

Query = Literal["self", "previous"]


@dataclass(frozen=True)
class RowChoice:
    """Choice of a token's rows: queries, decoder layers from 0, and the mean over heads with `heads` single ones.

    heads: all of a layer's, or 0 for the mean alone.
    """

    queries: tuple[Query, ...]
    layers: tuple[int, ...]
    heads: int

    @property
    def rows(self) -> int:
        """Count the rows of a token."""
        return len(self.queries) * len(self.layers) * (1 + self.heads)


@dataclass(frozen=True)
class TokenRows:
    """Attention of a response's T tokens on the V visual tokens of the first medium; grid: its (time, rows, columns).

    weights: shares of all attention, fp32; along H the mean over heads, then each head that is kept. tokens: their
    texts; in_answer: which of them stand in the answer block. seconds_per_slot: of a clip; 0 for a picture.
    inside: visual tokens on the evidence, None where that is not known.
    """

    chosen: RowChoice
    tokens: tuple[str, ...]
    in_answer: tuple[bool, ...]
    grid: Grid
    seconds_per_slot: float
    weights: Float[Tensor, "Q L H T V"]
    inside: Bool[Tensor, " V"] | None
