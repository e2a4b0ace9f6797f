"""Log-probs and entropy of response tokens from hidden states, in chunks: never the logits of all tokens at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Head = Callable[[Float[Tensor, "M D"]], Float[Tensor, "M V"]]
"""A language-model head: hidden states [M D] of M tokens -> logits [M V]."""

Scores = Callable[
    [Float[Tensor, "M D"], Int[Tensor, " M"], float, Bool[Tensor, " V"]],
    tuple[Float[Tensor, " M"], Float[Tensor, " M"]],
]
"""A kernel: (hidden states [M D], tokens [M], temperature, banned [V]) -> (log-probs [M], entropy [M]), fp32, nats.

Log-probs have a gradient, entropies have none.
"""

CHUNK_TOKENS = 1024
"""Number of tokens whose logits exist at once: 1024 x 152k x 4 bytes = 0.6 GB for Qwen's vocabulary."""
KEPT_LOGITS = 2**24
"""Up to this many logits (64 MB in fp32) are kept for the backward pass; more are recomputed in it, chunk by chunk."""

LEAST_LEFT = 1e-4
"""Least total probability of the tokens that are not banned; fp32 has too few digits for a smaller 1 - sum."""


def policy_logits(
    hidden: Float[Tensor, "M D"], head: Head, *, temperature: float, banned: Bool[Tensor, " V"]
) -> Float[Tensor, "M V"]:
    """Compute the logits of the sampling distribution: fp32, divided by the temperature, banned tokens at -inf.

    Sampling and training both call this function, so both mean the same policy. RAL (arXiv 2602.04884), section 4:
    temperature 0.9. Banning tokens is not in the paper.
    """
    logits = head(hidden).float() / temperature
    return logits.masked_fill(banned, -torch.inf)


def _chunk(
    hidden: Float[Tensor, "M D"], ids: Int[Tensor, " M"], head: Head, temperature: float, banned: Bool[Tensor, " V"]
) -> tuple[Float[Tensor, " M"], Float[Tensor, " M"]]:
    log_p = torch.log_softmax(policy_logits(hidden, head, temperature=temperature, banned=banned), dim=-1)
    entropy = -(log_p.exp() * log_p.masked_fill(banned, 0.0)).sum(-1).detach()
    return log_p.gather(-1, ids[:, None]).squeeze(-1), entropy


def token_log_probs(
    hidden: Float[Tensor, "N C D"],
    ids: Int[Tensor, "N C"],
    mask: Bool[Tensor, "N C"],
    head: Head,
    *,
    temperature: float,
    banned: Bool[Tensor, " V"],
    chunk: int = CHUNK_TOKENS,
    scores: Scores | None = None,
) -> tuple[Float[Tensor, "N C"], Float[Tensor, "N C"]]:
    """Return (log pi(token), entropy), both [N C] fp32, nats, 0 where mask is False; the entropy has no gradient.

    pi_theta of GRPO (arXiv 2402.03300), section 4.1.1, Eq. 3, at the sampling temperature. hidden[n, c] is the state
    that predicts token c. Only tokens under the mask go through the head, `chunk` of them at once; the backward pass
    recomputes each chunk's logits, unless all are at most KEPT_LOGITS numbers. banned [V]: tokens never sampled.
    scores: a kernel used in place of the head; None to use the head.
    """
    flat, chosen = hidden[mask], ids[mask]
    few = len(flat) * len(banned) <= KEPT_LOGITS
    run = _chunk if few else partial(checkpoint, _chunk, use_reentrant=False)
    pairs = zip(flat.split(chunk), chosen.split(chunk), strict=True)
    if scores is None:
        parts = [run(h, i, head, temperature, banned) for h, i in pairs]
    else:
        parts = [scores(flat, chosen, temperature, banned)] if len(flat) else []
    values = torch.cat([p[0] for p in parts]) if parts else flat.sum(-1).float()
    entropy = torch.cat([p[1] for p in parts]) if parts else values.detach()
    empty = torch.zeros(mask.shape, dtype=torch.float32, device=hidden.device)
    return empty.masked_scatter(mask, values), empty.masked_scatter(mask, entropy)


def without_banned(
    log_probs: Float[Tensor, " M"], entropy: Float[Tensor, " M"], banned_log_probs: Float[Tensor, "M K"]
) -> tuple[Float[Tensor, " M"], Float[Tensor, " M"]]:
    """Return log-probs and entropy of a distribution without K banned tokens, from those of the whole distribution.

    log_probs, entropy: those of the whole distribution, nats. banned_log_probs: log-probs of the banned tokens. With
    p_b their probabilities and Z = 1 - sum p_b, at least LEAST_LEFT: log p' = log p - log Z, and
    H' = (H + sum p_b log p_b) / Z + log Z. Not in a paper.
    """
    left_out = banned_log_probs.exp()
    rest = (1 - left_out.sum(-1)).clamp_min(LEAST_LEFT)
    known = entropy + (left_out * banned_log_probs).sum(-1)
    return log_probs - rest.log(), known / rest + rest.log()
