"""Terms on single looks: a row pulled to a place that is known. See ral.ops.objectives for what a term is."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from ral.ops.aggregate import masked_sum
from ral.ops.attention import CapturedAttention
from ral.types import Loss


def outside(rows: Float[Tensor, "*rows K"], place: Float[Tensor, "*rows K"]) -> Float[Tensor, "*rows"]:
    """Compute -ln of the share of each row that lies on a place (1 inside, 0 outside), nats. Not in a paper."""
    return -(rows * place).sum(-1).clamp_min(torch.finfo(rows.dtype).tiny).log()


def named_place(
    attention: CapturedAttention,
    named: Bool[Tensor, "N C P"],
    mask: Bool[Tensor, "N C"],
    weights: Float[Tensor, "N C"],
    *,
    coef: float = 0.2,
) -> Loss:
    """Pull the visual attention of a token to the place that its response names: -ln of the share that lies there.

    The cross-entropy of looking there or elsewhere; the row is renormalised over the prompt's visual keys. Every
    response is pulled, whatever its advantage; tokens without a place add 0. Not in a paper: an upper bound, since the
    place is known from the data's own rules (docs/method.md).
    """
    tokens = mask & named.any(-1)
    place = pad(named, (0, mask.shape[1])).expand(len(attention.layers), -1, -1, -1)
    kind = attention.layers[0].query.dtype
    values = attention.on_pictures_of_the_prompt().compare(place.to(torch.promote_types(kind, torch.float32)), outside)
    values = values.masked_fill(~tokens, 0.0)
    loss = coef * masked_sum(values * weights.masked_fill(~mask, 0.0), mask)
    metrics = {
        "named_place": (masked_sum(values.detach().float(), tokens), tokens.sum()),
        "named_tokens": (tokens.sum(), mask.sum()),
    }
    return Loss(loss, metrics)
