"""Overlong reward shaping of DAPO: a penalty for responses near the length limit, before it cuts them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Overlong:
    """Penalty that grows in a line from limit * (1 - buffer) tokens on, and is `penalty` points at the limit.

    DAPO (arXiv 2503.14476), section 3.4, Eq. 13: L_max is `limit`, L_cache is `buffer` * limit. There the penalty is 1
    for rewards of -1 and 1, here 0.5 for rewards of 0 to 1, the same share of their range.
    """

    limit: int
    buffer: float = 0.2
    penalty: float = 0.5

    def __call__(self, tokens: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
        """Return what is added to the rewards, [N] from -penalty to 0; tokens [N]: of each response, its end included.

        DAPO (arXiv 2503.14476), section 3.4, Eq. 13.
        """
        cache = self.buffer * self.limit
        over = (tokens.float() - (self.limit - cache)) / cache
        return -self.penalty * torch.clamp(over, 0.0, 1.0)
