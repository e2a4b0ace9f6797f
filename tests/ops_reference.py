"""Slow, obvious versions of ral.ops in python loops, and small random inputs, for the tests of ral.ops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from hypothesis import settings
from torch import Tensor

from ral.ops.attention import AttentionSpec, CapturedAttention, QueriesAndKeys

QUICK = settings(max_examples=25, deadline=None, database=None)
"""For every hypothesis test of ral.ops."""


def random_rows(seed: int, *shape: int, zeros: float = 0.0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Random distributions over the last axis; about a share `zeros` of the entries is exactly 0, never all."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.rand(*shape, generator=generator, dtype=dtype) + 1e-3
    drop = torch.rand(*shape, generator=generator) < zeros
    drop[..., seed % shape[-1]] = False
    rows = rows.masked_fill(drop, 0.0)
    return rows / rows.sum(-1, keepdim=True)


def ragged(lengths: tuple[int, ...], size: int, *, left: bool = False) -> Tensor:
    """Mask [len(lengths), size]: True on the first (or last) `length` places of each row."""
    mask = torch.arange(size)[None] < torch.tensor(lengths)[:, None]
    return mask.flip(1) if left else mask


def capture(
    seed: int = 0,
    *,
    layers: int = 1,
    heads: int = 1,
    repeat: int = 2,
    group: int = 2,
    width: int = 3,
    prompts: tuple[int, ...] = (4, 2),
    responses: tuple[int, ...] = (3, 1, 2, 3),
    dtype: torch.dtype = torch.float64,
    requires_grad: bool = False,
    spec: AttentionSpec | None = None,
) -> CapturedAttention:
    """Random queries and keys of prompts and responses with the given lengths; every second prompt place is visual."""
    generator = torch.Generator().manual_seed(seed)
    b, p, c = len(prompts), max(prompts), max(responses)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_(requires_grad)

    query = [draw(b, heads, repeat, group, c, width) for _ in range(layers)]
    prompt_keys = [draw(b, heads, p, width) for _ in range(layers)]
    response_keys = [draw(b, heads, group, c, width) for _ in range(layers)]
    valid = ragged(prompts, p, left=True)
    visual = valid & (torch.arange(p) % 2 == 1)
    mask = ragged(responses, c)
    parts = layers_of(query, prompt_keys, response_keys)
    return CapturedAttention(parts, valid, visual, mask, width**-0.5, spec or AttentionSpec())


def layers_of(*columns: Sequence[Tensor]) -> tuple[QueriesAndKeys, ...]:
    """Join queries, prompt keys and response keys of all layers."""
    return tuple(QueriesAndKeys(*three) for three in zip(*columns, strict=True))


def leaves(captured: CapturedAttention) -> list[Tensor]:
    """All queries and keys."""
    columns = zip(*((x.query, x.prompt_keys, x.response_keys) for x in captured.layers), strict=True)
    return [tensor for column in columns for tensor in column]


def with_leaves(
    captured: CapturedAttention, tensors: list[Tensor] | tuple[Tensor, ...], **masks: Tensor
) -> CapturedAttention:
    """Return the same capture with other queries and keys, in the order of `leaves`, and with other masks."""
    n = len(captured.layers)
    return replace(captured, layers=layers_of(tensors[:n], tensors[n : 2 * n], tensors[2 * n :]), **masks)


def copied(captured: CapturedAttention, padding: float | None = None) -> CapturedAttention:
    """Fresh leaves with gradient and the same values; `padding` is written to every padded query and key."""
    b = len(captured.prompt_valid)
    own = ~captured.mask.view(b, -1, captured.mask.shape[1])  # [B G C]
    out = []
    for tensor in leaves(captured):
        tensor = tensor.detach().clone()
        if padding is not None:
            out_of = ~captured.prompt_valid[:, None, :, None] if tensor.dim() == 4 else own[:, None, :, :, None]
            out_of = own[:, None, None, :, :, None] if tensor.dim() == 6 else out_of
            tensor = tensor.masked_fill(out_of, padding)
        out.append(tensor.requires_grad_())
    return with_leaves(captured, out)


def _keys_of(captured: CapturedAttention, layer: int, n: int, h: int, t: int) -> list[tuple[int, Tensor]]:
    """(place in K, key) of everything that response n's token t attends to."""
    b, g = divmod(n, captured.mask.shape[0] // captured.prompt_valid.shape[0])
    p = captured.prompt_valid.shape[1]
    own = t + 1 if captured.spec.query == "self" else t
    on_prompt = [(i, captured.layers[layer].prompt_keys[b, h, i]) for i in range(p) if captured.prompt_valid[b, i]]
    return on_prompt + [(p + j, captured.layers[layer].response_keys[b, h, g, j]) for j in range(own)]


def _head_weights(captured: CapturedAttention, layer: int, n: int, h: int, r: int, t: int) -> dict[int, float]:
    """Plain softmax of one head: {place in K: weight}."""
    b, g = divmod(n, captured.mask.shape[0] // captured.prompt_valid.shape[0])
    query = captured.layers[layer].query[b, h, r, g, t].tolist()
    scores = {
        place: captured.scaling * sum(q * k for q, k in zip(query, key.tolist(), strict=True))
        for place, key in _keys_of(captured, layer, n, h, t)
    }
    top = max(scores.values())
    total = sum(math.exp(s - top) for s in scores.values())
    return {place: math.exp(s - top) / total for place, s in scores.items()}


def looks_visual(captured: CapturedAttention, n: int, i: int) -> bool:
    """Whether key i of response n is a visual token."""
    p = captured.prompt_valid.shape[1]
    if i < p:
        return bool(captured.visual[n // (len(captured.mask) // len(captured.prompt_valid)), i])
    return captured.own_visual is not None and bool(captured.own_visual[n, i - p])


def loop_rows(captured: CapturedAttention) -> Tensor:
    """Eq. 2 as it is written, one number at a time: [L N C K] float64."""
    p = captured.prompt_valid.shape[1]
    n_responses, length = captured.mask.shape
    out = torch.zeros(len(captured.layers), n_responses, length, p + length, dtype=torch.float64)
    for layer, query in enumerate(part.query for part in captured.layers):
        for n, t in captured.mask.nonzero().tolist():
            every = [(h, r) for h in range(query.shape[1]) for r in range(query.shape[2])]
            heads = [_head_weights(captured, layer, n, h, r, t) for h, r in every]
            kept = {
                "all": lambda i, t=t: i < p + t,
                "prompt": lambda i: i < p,
                "visual": lambda i, n=n, t=t: i < p + t and looks_visual(captured, n, i),
            }[captured.spec.keys]
            mean = {i: sum(head[i] for head in heads) / len(heads) for i in heads[0] if kept(i)}
            for place, weight in mean.items():
                out[layer, n, t, place] = weight / sum(mean.values())
    return out


def loop_divergence(name: str, p: list[float], q: list[float]) -> float:
    """A divergence of two lists of numbers; 0 log 0 = 0."""

    def kl(a: list[float], b: list[float]) -> float:
        return sum(x * math.log(x / y) for x, y in zip(a, b, strict=True) if x > 0)

    middle = [(x + y) / 2 for x, y in zip(p, q, strict=True)]
    if name == "jsd":
        return (kl(p, middle) + kl(q, middle)) / 2
    if name == "forward_kl":
        return kl(q, p)
    if name == "reverse_kl":
        return kl(p, q)
    if name == "squared_hellinger":
        return 1 - sum(math.sqrt(x * y) for x, y in zip(p, q, strict=True))
    return sum(abs(x - y) for x, y in zip(p, q, strict=True)) / 2


def gradients(value: Tensor, tensors: list[Tensor]) -> list[Tensor]:
    """d value / d tensors; zeros where a tensor has no influence."""
    found = torch.autograd.grad(value, tensors, allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for t, g in zip(tensors, found, strict=True)]
