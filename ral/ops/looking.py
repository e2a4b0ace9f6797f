"""Loss terms on the attention of single tokens: towards a known place, or towards sampling noise that paid off.

Conventions of loss terms: `ral.ops.objectives`. Axes: `ral.types`.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from ral.ops.aggregate import masked_sum
from ral.ops.attention import CapturedAttention
from ral.types import Loss


def outside(rows: Float[Tensor, "*rows K"], place: Float[Tensor, "*rows K"]) -> Float[Tensor, "*rows"]:
    """Compute -ln of the share of each attention row on a place, nats; place: 1 inside, 0 outside. Not in a paper."""
    return -(rows * place).sum(-1).clamp_min(torch.finfo(rows.dtype).tiny).log()


def named_place(
    attention: CapturedAttention,
    named: Bool[Tensor, "N C P"],
    mask: Bool[Tensor, "N C"],
    weights: Float[Tensor, "N C"],
    *,
    coef: float = 0.2,
) -> Loss:
    """Pull the visual attention of a token to the place that its response names: -ln of its share on that place.

    This value is the cross-entropy of two classes, on the place or off it. named [N C P]: the place of each token, as
    visual tokens of the prompt. Attention rows are renormalised over the prompt's visual tokens. Responses of every
    advantage count; tokens without a place add 0. Not in a paper: it bounds from above what a method can reach that has
    to find the place, which here is known from the rules that made the data (docs/method.md).
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


def mean_scores(
    attention: CapturedAttention, directions: Float[Tensor, "L N C K"], mask: Bool[Tensor, "N C"]
) -> Float[Tensor, "L N C"]:
    """Compute sum_i d_i e_i of each response token over keys i, e the attention logits before the softmax.

    The logits are those of RAL (arXiv 2602.04884), Eq. 2, averaged over heads. directions: d, 0 at keys that do not
    count. mask: response tokens that count as queries and keys.
    """
    batch, prompt = attention.prompt_valid.shape
    padding, later = ~attention.prompt_valid[:, None, :, None], ~mask.unflatten(0, (batch, -1))[:, None, ..., None]
    found, kind = [], directions.dtype
    with torch.autocast(directions.device.type, enabled=False):  # it would make the products half precision again
        for layer, own in zip(attention.layers, directions.unflatten(1, (batch, -1)), strict=True):
            before, mine = layer.prompt_keys.masked_fill(padding, 0.0), layer.response_keys.masked_fill(later, 0.0)
            keys = torch.einsum("bgck,bhkd->bhgcd", own[..., :prompt], before.to(kind))
            keys = keys + torch.einsum("bgck,bhgkd->bhgcd", own[..., prompt:], mine.to(kind))
            query = layer.query.masked_fill(later[:, :, None], 0.0).to(kind)
            found.append((query * keys[:, :, None]).sum(-1).mean((1, 2)).flatten(0, 1))
    return attention.scaling * torch.stack(found)


def explored_score(
    attention: CapturedAttention,
    sampler_noise: Float[Tensor, "L N C K"],
    advantages: Float[Tensor, " N"],
    mask: Bool[Tensor, "N C"],
    weights: Float[Tensor, "N C"],
    *,
    coef: float = 1.0,
    sigma: float = 1.0,
) -> Loss:
    """Weight the sampler's noise on attention logits e by the advantage: -A * sum_i noise_i e_i / sigma^2.

    The score function of REINFORCE (Williams, "Simple statistical gradient-following algorithms", 1992) for the
    Gaussian policy N(e, sigma^2) over logits that the noise makes: at the weights of the rollout, the gradient of its
    log-density in e is noise / sigma^2. Its mean is 0, so that no baseline biases it. Not in the paper. sigma: standard
    deviation of the noise. Noise shared by all heads moves e, their mean. Summed over layers; no ratio, no clip. Tokens
    without noise add 0.
    """
    tried = mask & (sampler_noise != 0).any(-1).all(0)
    directions = sampler_noise.masked_fill(~tried[None, ..., None], 0.0)
    values = (mean_scores(attention, directions, mask) / sigma**2).sum(0).masked_fill(~tried, 0.0)
    loss = coef * masked_sum(-values * advantages[:, None] * weights.masked_fill(~mask, 0.0), mask)
    size = (directions / sigma).square().sum(-1).sum(0).detach().float()
    return Loss(loss, {"explored_noise": (masked_sum(size, tried), tried.sum())})
