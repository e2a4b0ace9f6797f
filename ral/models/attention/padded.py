"""Attention of left-padded prompts, and attention masks of prompts and of the responses to them.

Queries, keys and values are [B H S D], outputs [B S H D]; valid [B P] marks tokens that are no padding.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from ral.types import Cut

APART_FROM = 512
"""Padded prompts of this many tokens or more are attended one by one, without a mask; on CUDA all padded ones are."""


def apart(tensor: Tensor, length: int) -> bool:
    """Tell whether attention of padded prompts of this length, on the tensor's device, is computed one by one."""
    return tensor.is_cuda or length >= APART_FROM


def starts(valid: Tensor) -> list[int]:
    """Return the column of the first valid token of each left-padded prompt."""
    return valid.int().argmax(1).tolist()


def on_prompts(query: Tensor, key: Tensor, value: Tensor, valid: Tensor, mask: Tensor | None, scaling: float) -> Tensor:
    """Compute causal attention of prompts on themselves, [B P H D].

    mask: result of `prompt_mask`; None where nothing is padded. Outputs at padding are zero where prompts are computed
    one by one (`apart`), else arbitrary.
    """
    if mask is None or not apart(query, query.shape[2]):
        return sdpa(query, key, value, mask, scaling)
    rows = []
    for n, start in enumerate(starts(valid)):
        own = (slice(n, n + 1), slice(None), slice(start, None))
        rows.append(pad(sdpa(query[own], key[own], value[own], None, scaling), (0, 0, 0, 0, start, 0)))
    return torch.cat(rows)


def sdpa(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float) -> Tensor:
    """Compute attention by torch's scaled_dot_product_attention; return [B S H D].

    query [B H S D]; key, value [B Hkv K D], each of the Hkv heads shared by H / Hkv query heads. mask [B 1 S K] bool:
    True where a query attends to a key; None for causal attention, for which S = K. scaling: factor of the attention
    logits.
    """
    grouped = query.shape[1] != key.shape[1]
    if grouped and query.is_cuda and (mask is not None or query.dtype == torch.float32):  # no fast kernel groups here
        key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], dim=1) for x in (key, value))
        grouped = False
    out = scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=mask is None, scale=scaling, enable_gqa=grouped
    )
    return out.transpose(1, 2)


def prompt_mask(valid: Tensor) -> Tensor | None:
    """Return the causal attention mask, bool [B 1 P P], of left-padded prompts; None where nothing is padded.

    A padded position attends to itself, so that no softmax is empty; no valid position attends to it.
    """
    if bool(valid.all()):
        return None
    length = valid.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=valid.device).tril()
    itself = torch.eye(length, dtype=torch.bool, device=valid.device)
    return ((causal & valid[:, None]) | itself)[:, None]


def cut_mask(valid: Tensor, cut: Cut) -> Tensor:
    """Return the causal attention mask, bool [B 1 S S], of [prompt | response] or of prompts alone, under a knockout.

    valid [B S]. cut: the keys that are hidden, and from which queries. A position always attends to itself.
    """
    length, after = valid.shape[1], valid.shape[1] - cut.keys.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=valid.device).tril()
    itself = torch.eye(length, dtype=torch.bool, device=valid.device)
    queries, keys = pad(cut.queries, (0, after), value=cut.response), pad(cut.keys, (0, after))
    seen = causal & valid[:, None] & ~(queries[:, :, None] & keys[:, None])
    return (seen | itself)[:, None]


def response_mask(valid: Tensor, group_size: int, length: int) -> Tensor:
    """Return the attention mask, bool [B 1 G*C P+G*C]: a token attends to valid prompt tokens and its own response.

    valid [B P]; length: C. Of its own response a token attends to itself and earlier tokens.
    """
    owner = torch.arange(group_size, device=valid.device).repeat_interleave(length)
    at = torch.arange(length, device=valid.device).repeat(group_size)
    own = (owner[:, None] == owner[None]) & (at[None] <= at[:, None])
    batch, queries = valid.shape[0], group_size * length
    return torch.cat([valid[:, None].expand(-1, queries, -1), own.expand(batch, -1, -1)], dim=-1)[:, None]
