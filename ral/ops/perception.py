"""Loss terms by how much a response depends on the image: PAPO, VPPO, EASE, evidence distillation.

Signals `view_*` and `masked_*` come from a pass of the policy over the same responses with a second view of the prompt
(algo.view, such as a masked image): `view_*` at the weights of the rollout, without gradient; `masked_*` at those of
the update, with gradient. `evidence` [N P] marks the prompt's visual tokens inside the evidence. Axes: `ral.types`.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from ral.ops import objectives
from ral.ops.aggregate import masked_sum
from ral.ops.attention import CapturedAttention, renormalise, share_on
from ral.ops.correction import Correction
from ral.ops.divergence import DivergenceName
from ral.ops.divergence import divergence as find_divergence
from ral.ops.entropy import entropy
from ral.ops.logprobs import CHUNK_TOKENS, Head
from ral.ops.ratios import Clip, RatioLevel, kl_estimate
from ral.ops.signals import against_one_of
from ral.types import Loss

MOST_DEPENDENCE = 10.0
"""Upper bound of `dependence`, in nats, so that one token does not outweigh its response."""
Direction = Literal["reverse_kl", "forward_kl", "generalised_jsd"]


@against_one_of("masked", "view")
def implicit_perception(
    log_probs: Float[Tensor, "N C"],
    anchor_log_probs: Float[Tensor, "N C"],
    mask: Bool[Tensor, "N C"],
    weights: Float[Tensor, "N C"],
    *,
    coef: float = 0.02,
    against: str = "masked",
) -> Loss:
    """Raise the distance from the policy that sees a masked image: -coef * sum(weights * KL(pi || pi_masked)).

    KL_prcp of PAPO (arXiv 2507.06448), section 3.2; coef is gamma. The estimate at each sampled token is k3, as in the
    paper's code; beyond 10 nats it is linear in the log-ratio (`ral.ops.ratios.kl_estimate`).

    against: the model of anchor_log_probs. masked (the paper): the policy at the update's own weights, with gradient
    through both views. view (the paper's code): the policy at the weights of the rollout, without gradient; it costs
    one pass for each rollout instead of one for each update.
    """
    values = kl_estimate(log_probs, anchor_log_probs, "k3")
    loss = -coef * masked_sum(values * weights.masked_fill(~mask, 0.0), mask)
    return Loss(loss, {"view_kl": (masked_sum(values.detach(), mask), mask.sum())})


def double_entropy(
    hidden: Float[Tensor, "N C D"],
    masked_hidden: Float[Tensor, "N C D"],
    head: Head,
    banned: Bool[Tensor, " V"],
    temperature: float,
    mask: Bool[Tensor, "N C"],
    weights: Float[Tensor, "N C"],
    *,
    coef: float = 0.03,
    chunk: int = CHUNK_TOKENS,
) -> Loss:
    """Penalise the entropy of the policy on both views: coef * sum(weights * (H(pi) + H(pi_masked))).

    Double Entropy Loss of PAPO (arXiv 2507.06448), section 3.3, with eta_1 = eta_2 = coef: it keeps the policy from
    winning `implicit_perception` by noise. H as in `ral.ops.entropy.entropy`, over the whole vocabulary (the paper's
    code takes -log pi of the sampled token).
    """
    both = [
        entropy(states, head, banned, temperature, mask, weights, coef=coef, chunk=chunk)
        for states in (hidden, masked_hidden)
    ]
    return Loss(-(both[0].value + both[1].value), {"masked_entropy": both[1].metrics["entropy_term"]})


def dependence(
    old_log_probs: Float[Tensor, "N C"], view_log_probs: Float[Tensor, "N C"], mask: Bool[Tensor, "N C"]
) -> Float[Tensor, "N C"]:
    """Estimate how far each sampled token depends on the image: KL(pi || pi_masked) by k3, in [0, MOST_DEPENDENCE].

    S of VPPO (arXiv 2510.09285), section 3.1; estimate and bound are those of its code. 0 where mask is False.
    """
    values = kl_estimate(old_log_probs, view_log_probs, "k3").clamp(0.0, MOST_DEPENDENCE)
    return values.masked_fill(~mask, 0.0)


def pivotal(values: Float[Tensor, "N C"], mask: Bool[Tensor, "N C"], share: float) -> Bool[Tensor, "N C"]:
    """Mark the tokens of greatest dependence, ceil(share * tokens) of each response; among equals the earlier ones.

    values [N C]: result of `dependence`. share: in [0, 1].
    Token-level gradient filtering of VPPO (arXiv 2510.09285), section 3.2.
    """
    order = values.masked_fill(~mask, -math.inf).sort(dim=1, descending=True, stable=True).indices
    count = (mask.sum(1, keepdim=True) * share).ceil()
    first = torch.arange(mask.shape[1], device=mask.device) < count
    return torch.zeros_like(mask).scatter(1, order, first) & mask


def dependence_shape(
    values: Float[Tensor, "N C"], mask: Bool[Tensor, "N C"], group_size: int, least: float
) -> Float[Tensor, " N"]:
    """Return a weight for each response that grows with its mean dependence; in a group the weights are at least
    `least` and have mean 1.

    values: result of `dependence`. Trajectory-level advantage shaping of VPPO (arXiv 2510.09285), section 3.2, whose
    code takes minimum and maximum over a rank's batch and the mean over a micro-batch; here all are over the group, so
    that micro-batches and ranks change no update. Groups of equal dependence get 1. A response without tokens counts as
    one of dependence 0.
    """
    score = values.sum(1) / mask.sum(1).clamp_min(1)
    group = score.view(-1, group_size)
    low, high = group.amin(1, keepdim=True), group.amax(1, keepdim=True)
    between = (group - low) / (high - low).clamp_min(torch.finfo(group.dtype).tiny)
    mean = between.mean(1, keepdim=True)
    scaled = least + between * (1 - least) / mean.clamp_min(torch.finfo(group.dtype).tiny)
    return torch.where(high > low, scaled, torch.ones_like(scaled)).flatten()


def perceptive_token(
    log_probs: Float[Tensor, "N C"],
    old_log_probs: Float[Tensor, "N C"],
    view_log_probs: Float[Tensor, "N C"],
    advantages: Float[Tensor, " N"],
    mask: Bool[Tensor, "N C"],
    weights: Float[Tensor, "N C"],
    group_size: int,
    sampler_log_probs: Float[Tensor, "N C"] | None = None,
    *,
    coef: float = 1.0,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    ratio: RatioLevel = "token",
    clip: Clip = "surrogate",
    correction: Correction = "off",
    correction_cap: float = 2.0,
    share: float = 0.4,
    least: float = 0.9,
) -> Loss:
    """Return the clipped policy loss on the tokens that depend most on the image, responses weighted by dependence.

    VPPO (arXiv 2510.09285), section 3.2: A'(tau) = alpha(tau) A(tau), alpha of `dependence_shape` with `least`; only
    the `share` of tokens that `pivotal` marks have a gradient. The other keywords are those of
    `ral.ops.objectives.token`. UserError where `correction` is on and sampler_log_probs, the engine's, is None.
    """
    values = dependence(old_log_probs, view_log_probs, mask)
    chosen, shape = pivotal(values, mask, share), dependence_shape(values, mask, group_size, least)
    factor = chosen * shape[:, None]
    loss = objectives.token(
        log_probs,
        old_log_probs,
        advantages,
        mask,
        weights * factor,
        sampler_log_probs,
        coef=coef,
        clip_low=clip_low,
        clip_high=clip_high,
        ratio=ratio,
        clip=clip,
        correction=correction,
        correction_cap=correction_cap,
    )
    more = {"view_kl": (values.sum(), mask.sum()), "pivotal_tokens": (chosen.sum(), mask.sum())}
    return Loss(loss.value, loss.metrics | more)


def evidence_attention(
    attention: CapturedAttention,
    evidence: Bool[Tensor, "N P"],
    advantages: Float[Tensor, " N"],
    mask: Bool[Tensor, "N C"],
    weights: Float[Tensor, "N C"],
    *,
    coef: float = 0.1,
    smooth: float = 0.1,
    divergence: DivergenceName = "forward_kl",
) -> Loss:
    """Pull the visual attention of successful responses to the evidence: coef * sum(weights * D(p, q)), where A > 0.

    EASE (arXiv 2605.30912), of which only the abstract was read: a smoothed target over visual tokens, made of
    annotated regions, for the attention from response to image, on trajectories of high reward alone. Not in the
    paper's abstract, chosen here: q puts 1 - `smooth` evenly on the evidence and `smooth` evenly on all visual tokens
    of the prompt; p is each token's attention row, renormalised over these visual tokens; high reward is A > 0; D is
    KL(q || p) by default. Prompts without evidence add 0.
    """
    pulled = mask & (advantages > 0)[:, None] & evidence.any(-1)[:, None]
    kind = torch.promote_types(attention.layers[0].query.dtype, torch.float32)
    seen = attention.visual & attention.prompt_valid  # of prompts, or repeated for every response
    visual = seen.repeat_interleave(len(mask) // len(seen), 0)
    target = (1 - smooth) * renormalise(evidence.to(kind), evidence) + smooth * renormalise(visual.to(kind), visual)
    rows = pad(target, (0, mask.shape[1]))[None, :, None].expand(len(attention.layers), -1, mask.shape[1], -1)
    values = attention.on_pictures_of_the_prompt().compare(rows, find_divergence(divergence))
    values = values.masked_fill(~pulled, 0.0)
    loss = coef * masked_sum(values * weights.masked_fill(~mask, 0.0), mask)
    metrics = {
        "evidence_attention": (masked_sum(values.detach().float(), pulled), pulled.sum()),
        "evidence_tokens": (pulled.sum(), mask.sum()),
    }
    return Loss(loss, metrics)


def evidence_distillation(
    hidden: Float[Tensor, "N C D"],
    head: Head,
    view_hidden: Float[Tensor, "N C D"],
    view_head: Head,
    evidence: Bool[Tensor, "N P"],
    banned: Bool[Tensor, " V"],
    temperature: float,
    mask: Bool[Tensor, "N C"],
    weights: Float[Tensor, "N C"],
    *,
    coef: float = 1.0,
    direction: Direction = "reverse_kl",
    beta: float = 0.5,
    chunk: int = CHUNK_TOKENS,
) -> Loss:
    """Pull the policy on the whole image to itself on the evidence alone: KL over the vocabulary at each token.

    After Vision-OPD (arXiv 2605.18740), section 3, whose teacher sees a crop. Here the teacher is the policy at the
    weights of the rollout (view_hidden), shown the same prompt with the image black outside the evidence, so that both
    read the same tokens. Prompts without evidence add 0. Keywords and ValueErrors: `objectives.token_distillation`.
    """
    seen = mask & evidence.any(-1)[:, None]
    inputs = (hidden, head, view_hidden, view_head, banned, temperature, seen, weights)
    found = objectives.token_distillation(*inputs, coef=coef, direction=direction, beta=beta, chunk=chunk)
    metrics = {
        "evidence_distillation": found.metrics["token_distillation"],
        "evidence_tokens": (seen.sum(), mask.sum()),
    }
    return Loss(found.value, metrics)


def look_weights(
    old_rows: Float[Tensor, "L N C K"], evidence: Bool[Tensor, "N P"], mask: Bool[Tensor, "N C"], most: float
) -> Float[Tensor, "N C"]:
    """Return a weight for each token that grows with the share of the token's attention on the evidence.

    The weight is that share (of the whole attention row, averaged over layers), divided by its mean over the tokens of
    the response, and at most `most`. Before the bound the weights of a response have mean 1. Responses with no
    attention on the evidence get 1 everywhere. Not in a paper.
    """
    seen = share_on(old_rows, evidence).masked_fill(~mask, 0.0)
    mean = seen.sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp_min(1)
    found = (seen / mean.clamp_min(torch.finfo(seen.dtype).tiny)).clamp_max(most)
    return torch.where(mean > 0, found, torch.ones_like(found))


def looking_token(
    log_probs: Float[Tensor, "N C"],
    old_log_probs: Float[Tensor, "N C"],
    old_rows: Float[Tensor, "L N C K"],
    evidence: Bool[Tensor, "N P"],
    advantages: Float[Tensor, " N"],
    mask: Bool[Tensor, "N C"],
    weights: Float[Tensor, "N C"],
    sampler_log_probs: Float[Tensor, "N C"] | None = None,
    *,
    coef: float = 1.0,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    ratio: RatioLevel = "token",
    clip: Clip = "surrogate",
    correction: Correction = "off",
    correction_cap: float = 2.0,
    most: float = 5.0,
) -> Loss:
    """Return the clipped policy loss with each token's advantage weighted by its attention to the evidence.

    A_t = A * w_t, w_t of `look_weights` with the attention rows of the policy before any update. Not in a paper. The
    other keywords are those of `ral.ops.objectives.token`. UserError where `correction` is on and sampler_log_probs,
    the engine's, is None.
    """
    factor = look_weights(old_rows, evidence, mask, most)
    loss = objectives.token(
        log_probs,
        old_log_probs,
        advantages,
        mask,
        weights * factor,
        sampler_log_probs,
        coef=coef,
        clip_low=clip_low,
        clip_high=clip_high,
        ratio=ratio,
        clip=clip,
        correction=correction,
        correction_cap=correction_cap,
    )
    seen = evidence.any(-1)[:, None] & mask
    return Loss(loss.value, loss.metrics | {"evidence_tokens": (seen.sum(), mask.sum())})
