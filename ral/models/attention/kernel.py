"""Attention of G responses over one prompt: two calls of a fast kernel, merged by their log-sum-exps.

The softmax over [prompt | own response] is computed in two parts, so that no key is repeated G times, no response is
scored against another, and no mask over all pairs exists. The backward pass hands each part the *merged* output O and
log-sum-exp lse: with P = exp(S - lse), S the scores, and delta = sum(dO * O), a flash kernel's gradients are then those
of the joint softmax. In the first part all queries that share a key head form one long sequence of queries.

Shapes: query [B H G*C D], prompt keys and values [B Hkv P D], own keys and values [B Hkv G*C D], valid [B P].
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
KERNELS = ("cpu", "cuda")
"""Device types whose fast kernels return a log-sum-exp."""
Saved = tuple[Any, ...]
"""Arguments of a kernel's backward pass: query, key, value, bias, and the kernel's own."""


def _flash(query: Tensor) -> bool:
    """Tell whether CUDA's flash kernel takes this query (half precision, Ampere or later); else mem-efficient does."""
    return query.dtype != torch.float32 and torch.cuda.get_device_capability(query.device) >= (8, 0)


def _forward(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, causal: bool, scale: float) -> Any:
    """Return output [B H S D], log-sum-exp [B H S], and the kernel's own values for the backward pass.

    bias: added to the scores; None where nothing is added.
    """
    if query.device.type == "cpu":
        out, lse = aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, causal, attn_mask=bias, scale=scale
        )
        return out, lse, ()
    if bias is None and _flash(query):
        out, lse, *rest = aten._scaled_dot_product_flash_attention(query, key, value, 0.0, causal, False, scale=scale)
        return out, lse, tuple(rest[:6])
    out, lse, *rest = aten._scaled_dot_product_efficient_attention(
        query, key, value, bias, True, 0.0, causal, scale=scale
    )
    return out, lse[..., : query.shape[2]], tuple(rest)  # the kernel pads its log-sum-exp to a multiple of 32


def _backward(grad: Tensor, part: Saved, out: Tensor, lse: Tensor, causal: bool, scale: float) -> tuple[Tensor, ...]:
    """Return the gradients of query, key and value of one of the two parts.

    grad: gradient of the output. part: query, key, value and bias of the part's `_forward`, and the kernel's own
    values. out, lse: output and log-sum-exp of the joint softmax.
    """
    query, key, value, bias, rest = part
    if query.device.type == "cpu":
        return aten._scaled_dot_product_flash_attention_for_cpu_backward(
            grad, query, key, value, out, lse, 0.0, causal, attn_mask=bias, scale=scale
        )
    if bias is None and _flash(query):
        return aten._scaled_dot_product_flash_attention_backward(
            grad, query, key, value, out, lse.float().contiguous(), *rest[:4], 0.0, causal, *rest[4:], scale=scale
        )
    lse = torch.nn.functional.pad(lse.float(), (0, -lse.shape[-1] % 32), value=torch.inf).contiguous()
    return aten._scaled_dot_product_efficient_attention_backward(
        grad, query, key, value, bias, out, lse, *rest, 0.0, [True, True, True, False], causal, scale=scale
    )[:3]


class _Shared(torch.autograd.Function):
    """Autograd function of `attend_shared`: attention [B H G*C D] of responses, by the module's docstring."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, pk: Tensor, pv: Tensor, ok: Tensor, ov: Tensor, *settings: Any) -> Tensor:
        """Return the attention; pk, pv: keys and values of prompts, ok, ov: of responses; settings: bias, scale, G."""
        bias, scale, group = settings
        fold, own, unfold = _views(query, pk, group)
        prompt = (fold(query), pk, pv, None if bias is None else bias.expand(-1, -1, fold(query).shape[2], -1))
        response = (own(query), own(ok), own(ov), None)
        prompt_out, prompt_lse, prompt_rest = _forward(*prompt, causal=False, scale=scale)
        own_out, own_lse, own_rest = _forward(*response, causal=True, scale=scale)
        prompt_lse = prompt_lse.reshape(query.shape[:3])
        own_lse = unfold(own_lse[..., None]).squeeze(-1)
        lse = torch.logaddexp(prompt_lse, own_lse)
        out = prompt_out.reshape(query.shape) * (prompt_lse - lse).exp()[..., None]
        out = (out + unfold(own_out) * (own_lse - lse).exp()[..., None]).to(query.dtype)
        ctx.save_for_backward(query, pk, pv, ok, ov, bias, out, lse)
        ctx.settings = scale, group, prompt_rest, own_rest
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of query, pk, pv, ok and ov, and None for the settings."""
        query, pk, pv, ok, ov, bias, out, lse = ctx.saved_tensors
        scale, group, prompt_rest, own_rest = ctx.settings
        fold, own, unfold = _views(query, pk, group)
        grad = grads[0]
        bias = None if bias is None else bias.expand(-1, -1, fold(query).shape[2], -1)
        folded_lse, own_lse = fold(lse[..., None]).squeeze(-1), own(lse[..., None]).squeeze(-1)
        part: Saved = (fold(query), pk, pv, bias, prompt_rest)
        prompt_q, prompt_k, prompt_v = _backward(fold(grad), part, fold(out), folded_lse, False, scale)
        part = (own(query), own(ok), own(ov), None, own_rest)
        own_q, own_k, own_v = _backward(own(grad), part, own(out), own_lse, True, scale)
        heads = pk.shape[1]
        d_key, d_value = (unfold(g).unflatten(1, (heads, -1)).sum(2) for g in (own_k, own_v))
        return prompt_q.reshape(query.shape) + unfold(own_q), prompt_k, prompt_v, d_key, d_value, None, None, None


def _views(query: Tensor, prompt_key: Tensor, group: int) -> tuple[Any, Any, Any]:
    """Return three reshaping functions, fold, own and unfold.

    fold: [B H S x] -> [B Hkv R*S x]; own: [B h S x] -> [B*G H C x], key heads repeated; unfold: the inverse of own.
    """
    batch, heads = query.shape[:2]
    kv_heads = prompt_key.shape[1]

    def fold(x: Tensor) -> Tensor:
        return x.reshape(batch, kv_heads, -1, x.shape[-1])

    def own(x: Tensor) -> Tensor:
        x = x if x.shape[1] == heads else x.repeat_interleave(heads // kv_heads, dim=1)
        return x.unflatten(2, (group, -1)).transpose(1, 2).flatten(0, 1)

    def unfold(x: Tensor) -> Tensor:
        return x.unflatten(0, (batch, group)).transpose(1, 2).flatten(2, 3)

    return fold, own, unfold


def summed(left: Tensor, right: Tensor, scale: float = 1.0) -> Tensor:
    """Compute scale * left @ right, fp32 [.. M N], without autocast; half-precision products are summed in fp32."""
    with torch.autocast(left.device.type, enabled=False):
        if left.dtype == torch.float32 or not left.is_cuda:
            return left.float() * scale @ right.float()
        out = torch.bmm(left.flatten(0, -3), right.flatten(0, -3), out_dtype=torch.float32)
        return out.unflatten(0, left.shape[:-2]) * scale


def attend_shared(
    query: Tensor,
    prompt: tuple[Tensor, Tensor],
    own: tuple[Tensor, Tensor],
    valid: Tensor | None,
    group_size: int,
    scaling: float,
) -> Tensor:
    """Compute attention [B H G*C D] of response tokens on the valid prompt and on their own response up to themselves.

    prompt, own: keys and values of prompts and of responses. valid [B P]: prompt tokens that are no padding; None where
    nothing is padded. group_size: G. The device must be one of KERNELS.
    """
    kind = own[1].dtype  # under autocast, rotary embedding may leave queries wider than values
    bias = None
    if valid is not None:
        bias = torch.zeros(valid.shape, dtype=kind, device=valid.device).masked_fill(~valid, -torch.inf)[:, None, None]
    tensors = [x.to(kind) for x in (query, *prompt, *own)]
    return _Shared.apply(*tensors, bias, scaling, group_size)
