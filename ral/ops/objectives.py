"""Loss terms: pure functions, of which an objective is a sum. A yaml names the terms and binds their keywords.

The *positional* parameters of a term are signals: tensors that the update computes because a term has a parameter of
that name. `ral.ops.signals.SIGNALS` lists all signals with shapes and origins (axes: `ral.types`); anchor_* stands for
the signal of the model that the keyword `against` names. Each term returns coef * sum(weights * per-token value), in
nats where that value is a divergence, so that Eq. 4 (L = L_RL + lambda_attn L_AttnRL) and Eq. 6 (L = L_RL + mu L_GKD +
gamma_attn L_AttnDistill) of RAL are sums of terms. Metrics are {name: (total, count)}, most of them over tokens. The
attention terms average D over the chosen layers (CapturedAttention.compare).
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ral.ops.aggregate import masked_sum
from ral.ops.attention import CapturedAttention, renormalise
from ral.ops.correction import Correction, corrected
from ral.ops.divergence import DivergenceName
from ral.ops.divergence import divergence as find_divergence
from ral.ops.logprobs import CHUNK_TOKENS, Head, policy_logits
from ral.ops.ratios import (
    K3_LOG_RATIO,
    MAX_LOG_RATIO,
    Clip,
    RatioLevel,
    at_level,
    clipped_surrogate,
    exp_then_straight,
    kl_estimate,
)
from ral.ops.signals import still_at_its_anchor
from ral.types import Loss

LOG_OF_NOTHING = -400.0
"""Log-prob of a banned token, in nats, where -inf would make 0 * inf: exp(-400) is 0 in fp32."""


def _weighted(values: Tensor, weights: Tensor, mask: Tensor, coef: float) -> Tensor:
    """Return coef * sum(weights * values) where mask is True; values [N C] elsewhere reach neither sum nor gradient."""
    return coef * masked_sum(values * weights.masked_fill(~mask, 0.0), mask)


def _mean(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    return masked_sum(values.detach().float(), mask), mask.sum()


def token(
    log_probs: Float[Tensor, "N C"],
    anchor_log_probs: Float[Tensor, "N C"],
    advantages: Float[Tensor, " N"],
    mask: Bool[Tensor, "N C"],
    weights: Float[Tensor, "N C"],
    sampler_log_probs: Float[Tensor, "N C"] | None = None,
    *,
    coef: float = 1.0,
    against: str = "old",
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    ratio: RatioLevel = "token",
    clip: Clip = "surrogate",
    correction: Correction = "off",
    correction_cap: float = 2.0,
) -> Loss:
    """Return the clipped policy loss: -min(r A, clip(r, 1 - clip_low, 1 + clip_high) A), r = pi / pi_old.

    L_RL in RAL (arXiv 2602.04884), Eq. 4. GRPO (arXiv 2402.03300), section 4.1.1, Eq. 3; the clip is PPO's (arXiv
    1707.06347), section 3, Eq. 7; bounds of different size are DAPO's (arXiv 2503.14476), section 3.1, Eq. 10. Beyond
    MAX_LOG_RATIO r is linear in the log-ratio, which is not in a paper.

    against: the model taken for pi_old. old: the weights at rollout; sampler: the sampler's distribution, which differs
    where it put noise on the attention. ratio, clip: "sequence" is GSPO's, "weight" CISPO's (`ral.ops.ratios`).
    correction, correction_cap: for engines that sample from almost pi_old (`ral.ops.correction`); UserError where it is
    on and sampler_log_probs, the engine's, is None. ValueError for unknown values of ratio, clip and correction.
    """
    log_ratio = at_level(log_probs - anchor_log_probs, mask, ratio)
    r, bounds = exp_then_straight(log_ratio, MAX_LOG_RATIO), (1 - clip_low, 1 + clip_high)
    surrogate, is_clipped = clipped_surrogate(r, log_probs.masked_fill(~mask, 0.0), advantages, bounds, clip)
    metrics = {
        "clip_fraction": _mean(is_clipped, mask),
        "ratio": _mean(r, mask),
        "clamped_ratios": _mean(log_ratio.abs() > MAX_LOG_RATIO, mask),
    }
    if correction != "off":
        factor, cut = corrected(anchor_log_probs, sampler_log_probs, mask, correction, correction_cap)
        surrogate, metrics["engine_masked"] = surrogate * factor, _mean(cut, mask)
    return Loss(_weighted(-surrogate, weights, mask, coef), metrics)


@still_at_its_anchor
def kl(
    log_probs: Float[Tensor, "N C"],
    reference_log_probs: Float[Tensor, "N C"],
    mask: Bool[Tensor, "N C"],
    weights: Float[Tensor, "N C"],
    *,
    coef: float = 0.04,
    estimator: Literal["k2", "k3"] = "k3",
) -> Loss:
    """Penalise divergence from the reference policy, by an estimate of KL(pi || pi_ref) at each sampled token.

    RAL (arXiv 2602.04884), section 4: beta 0.04; GRPO (arXiv 2402.03300), section 4.1.1, Eq. 3 and 4, with k3.

    On tokens that the policy itself sampled, the expected gradient is that of KL(pi || pi_ref) with k2 and that of
    KL(pi_ref || pi) with k3; with k1 it is 0 (docs/method.md), so ValueError for k1.
    """
    if estimator not in ("k2", "k3"):
        kl_estimate(log_probs, reference_log_probs, estimator)  # names the known
        raise ValueError("the KL estimator k1 has no gradient in the mean: write k2, which has that of its mean, or k3")
    values = kl_estimate(log_probs, reference_log_probs, estimator)
    log_ratio = (reference_log_probs - log_probs).detach()
    beyond = log_ratio > K3_LOG_RATIO if estimator == "k3" else log_ratio.abs() > MAX_LOG_RATIO
    metrics = {"kl": _mean(values, mask), "clamped_kl": _mean(beyond, mask)}
    return Loss(_weighted(values, weights, mask, coef), metrics)


@still_at_its_anchor
def attention_policy(
    attention: CapturedAttention,
    anchor_rows: Float[Tensor, "L N C K"],
    advantages: Float[Tensor, " N"],
    mask: Bool[Tensor, "N C"],
    weights: Float[Tensor, "N C"],
    *,
    coef: float = 1.0,
    against: str = "old",
    divergence: DivergenceName = "jsd",
) -> Loss:
    """Weight the divergence of attention from its anchor by the advantage: E_t[A D(p_theta^t || p_anchor^t)].

    RAL (arXiv 2602.04884), Eq. 3; coef is lambda_attn of Eq. 4. A > 0 pulls the attention towards the anchor's, A < 0
    pushes it away. D and its gradient are zero where the policy equals the anchor (docs/method.md), so with against=old
    the first update on a batch gets nothing from this term.
    """
    values = attention.compare(anchor_rows, find_divergence(divergence))
    return Loss(
        _weighted(values * advantages[:, None], weights, mask, coef), {"attention_divergence": _mean(values, mask)}
    )


def explored_attention(
    attention: CapturedAttention,
    sampler_rows: Float[Tensor, "L N C K"],
    advantages: Float[Tensor, " N"],
    mask: Bool[Tensor, "N C"],
    weights: Float[Tensor, "N C"],
    *,
    coef: float = 1.0,
    divergence: DivergenceName = "jsd",
) -> Loss:
    """Weight the divergence from the sampler's noisy attention p~ by the advantage: E_t[A D(p_theta^t || p~^t)].

    RAL's Eq. 3 (arXiv 2602.04884) with p~ (sampler_rows) for p_old. Not in the paper. p~ differs from p_theta before
    any update, so the first update has a gradient: for one softmax p with noise sigma eps, and to first order, descent
    moves the logits by A sigma / 4 (diag(p) - p p^T) eps (docs/method.md). Tokens without a recorded row add 0.
    """
    tried = mask & (sampler_rows > 0).any(-1).all(0)
    values = attention.compare(sampler_rows, find_divergence(divergence)).masked_fill(~tried, 0.0)
    return Loss(
        _weighted(values * advantages[:, None], weights, mask, coef), {"explored_divergence": _mean(values, tried)}
    )


def _looked_at(rows: Tensor, visual: Tensor, mask: Tensor) -> Tensor:
    """Average attention on the prompt's visual tokens over response tokens, [L N P]; rows [L N C P], visual [N P]."""
    seen = renormalise(rows, visual[None, :, None].expand_as(rows)).masked_fill(~mask[None, ..., None], 0.0)
    return renormalise(seen.sum(2), visual.expand(len(rows), -1, -1))


def group_attention(
    attention: CapturedAttention,
    anchor_rows: Float[Tensor, "L N C K"],
    advantages: Float[Tensor, " N"],
    mask: Bool[Tensor, "N C"],
    weights: Float[Tensor, "N C"],
    group_size: int,
    *,
    coef: float = 0.5,
    against: str = "old",
    divergence: DivergenceName = "jsd",
) -> Loss:
    """Pull the visual attention of unsuccessful responses to that of the successful ones of their group.

    Not in the paper: RAL's Eq. 5 (arXiv 2602.04884) with siblings for a teacher. A > 0 is success, A < 0 is not. The
    attention of every unsuccessful token, on the prompt's visual tokens and renormalised, is pulled by D to the mean of
    the successful ones' (over tokens, then responses; rows of the model `against`). Groups without responses of both
    kinds, and prompts without visual tokens, add 0. Metric "pulled": share of responses that are pulled.
    """
    rows = attention.visual & attention.prompt_valid  # of prompts, or repeated for every response
    visual = rows.repeat_interleave(len(mask) // len(rows), 0)
    looked = _looked_at(anchor_rows[..., : visual.shape[1]], visual, mask)
    won = looked.masked_fill((advantages <= 0)[None, :, None], 0.0)
    mean = renormalise(won.unflatten(1, (-1, group_size)).sum(2), visual[::group_size].expand(len(won), -1, -1))
    target = mean.repeat_interleave(group_size, dim=1)
    anchor = torch.nn.functional.pad(target, (0, mask.shape[1]))[:, :, None].expand_as(anchor_rows)
    pulled = mask & (advantages < 0)[:, None] & (target.sum(-1) > 0).all(0)[:, None]
    looks = attention.on_pictures_of_the_prompt()
    values = looks.compare(anchor, find_divergence(divergence)).masked_fill(~pulled, 0.0)
    metrics = {"group_attention": _mean(values, pulled), "pulled": (pulled.any(1).sum(), mask.any(1).sum())}
    return Loss(_weighted(values, weights, mask, coef), metrics)


def attention_distillation(
    attention: CapturedAttention,
    teacher_rows: Float[Tensor, "L N C K"],
    mask: Bool[Tensor, "N C"],
    weights: Float[Tensor, "N C"],
    *,
    coef: float = 0.5,
    divergence: DivergenceName = "jsd",
) -> Loss:
    """Pull the student's attention to the teacher's, on the student's own rollouts: D(p_theta^t || p_phi^t).

    RAL (arXiv 2602.04884), Eq. 5; coef is gamma_attn of Eq. 6.
    """
    values = attention.compare(teacher_rows, find_divergence(divergence))
    return Loss(_weighted(values, weights, mask, coef), {"attention_distillation": _mean(values, mask)})


def _vocabulary_divergence(
    hidden: Tensor,
    teacher_hidden: Tensor,
    head: Head,
    teacher_head: Head,
    banned: Tensor,
    temperature: float,
    direction: str,
    beta: float,
) -> Tensor:
    """Compute the divergence [M] of two next-token distributions over the whole vocabulary, nats.

    generalised_jsd: GKD (arXiv 2306.13649), Eq. 1, with the teacher for P and the student for Q.
    """
    log_p = torch.log_softmax(policy_logits(hidden, head, temperature=temperature, banned=banned), -1)
    log_q = torch.log_softmax(policy_logits(teacher_hidden, teacher_head, temperature=temperature, banned=banned), -1)
    log_p, log_q = log_p.masked_fill(banned, LOG_OF_NOTHING), log_q.masked_fill(banned, LOG_OF_NOTHING)
    p, q = log_p.exp(), log_q.exp()
    if direction == "reverse_kl":
        return (p * (log_p - log_q)).sum(-1)
    if direction == "forward_kl":
        return (q * (log_q - log_p)).sum(-1)
    if direction == "generalised_jsd":
        log_m = torch.logaddexp(log_q + torch.tensor(beta).log(), log_p + torch.tensor(1 - beta).log())
        return beta * (q * (log_q - log_m)).sum(-1) + (1 - beta) * (p * (log_p - log_m)).sum(-1)
    raise ValueError(f"unknown direction {direction!r}: write reverse_kl, forward_kl or generalised_jsd")


def token_distillation(
    hidden: Float[Tensor, "N C D"],
    head: Head,
    teacher_hidden: Float[Tensor, "N C E"],
    teacher_head: Head,
    banned: Bool[Tensor, " V"],
    temperature: float,
    mask: Bool[Tensor, "N C"],
    weights: Float[Tensor, "N C"],
    *,
    coef: float = 1.0,
    direction: Literal["reverse_kl", "forward_kl", "generalised_jsd"] = "reverse_kl",
    beta: float = 0.5,
    chunk: int = CHUNK_TOKENS,
) -> Loss:
    """Pull the student's next-token distribution to the teacher's: KL(pi_theta || pi_phi) over the whole vocabulary.

    L_GKD of RAL (arXiv 2602.04884), Eq. 6; coef is mu. direction: reverse_kl (the paper's), forward_kl, or
    generalised_jsd of GKD (arXiv 2306.13649), Eq. 1, with its beta (weight of the teacher); ValueError for others, and
    for beta beyond (0, 1). Tokens are computed in chunks that the backward pass recomputes; no [N, C, V] tensor exists.
    """
    if not 0 < beta < 1:
        raise ValueError(
            f"token_distillation.beta is {beta}: write a number between 0 and 1 (at 0 and 1 the loss is 0)"
        )
    student, teacher = hidden[mask].split(chunk), teacher_hidden[mask].split(chunk)
    parts = [
        checkpoint(
            _vocabulary_divergence, h, t, head, teacher_head, banned, temperature, direction, beta, use_reentrant=False
        )
        for h, t in zip(student, teacher, strict=True)
    ]
    flat = torch.cat(parts) if parts else hidden.new_zeros(0, dtype=torch.float32)
    values = torch.zeros(mask.shape, dtype=torch.float32, device=mask.device).masked_scatter(mask, flat)
    return Loss(_weighted(values, weights, mask, coef), {"token_distillation": _mean(values, mask)})


def nll(
    log_probs: Float[Tensor, "N C"],
    mask: Bool[Tensor, "N C"],
    weights: Float[Tensor, "N C"],
    *,
    coef: float = 1.0,
) -> Loss:
    """Return the negative log-likelihood of given responses, prompts excluded: supervised fine-tuning.

    RAL (arXiv 2602.04884), section 4; GKD (arXiv 2306.13649) calls it supervised FT.
    """
    return Loss(_weighted(-log_probs, weights, mask, coef), {"nll": _mean(-log_probs, mask)})
