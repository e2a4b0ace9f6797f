"""Overlong reward shaping of DAPO: a penalty for responses that come near the length limit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Overlong:
    """Reward penalty, 0 up to limit * (1 - buffer) tokens, from there linear to `penalty` at the limit and beyond.

    DAPO (arXiv 2503.14476), section 3.4, Eq. 13: L_max is `limit`, L_cache is `buffer` * limit. There the penalty is 1
    for rewards of -1 and 1, here 0.5 for rewards of 0 to 1, the same share of their range.
    limit: length limit, in tokens. buffer: share of the limit, above 0. penalty: in points of reward.
    """

    limit: int
    buffer: float = 0.2
    penalty: float = 0.5

    def __call__(self, tokens: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
        """Return the numbers [N] to add to the rewards, in [-penalty, 0].

        tokens [N]: length of each response, its end token included.

        DAPO (arXiv 2503.14476), section 3.4, Eq. 13.
        """
        cache = self.buffer * self.limit
        over = (tokens.float() - (self.limit - cache)) / cache
        return -self.penalty * torch.clamp(over, 0.0, 1.0)
