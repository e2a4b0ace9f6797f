"""The attention of a shared prompt, through Transformers' attention interface.

A group of G responses to one prompt is one row [prompt | r1 | ... | rG]: every response sees the prompt and itself, so
the prompt is computed once, not G times. A model loaded with `attn_implementation=ral` calls `shared_attention`, which
hands its queries and keys to the layout that the forward pass was given; without a layout it is PyTorch's fast
attention with the usual masks. Layouts also record the queries and keys of chosen layers (the capture that RAL needs)
and hold the key/value cache of a rollout. One function for every model family, no model class patched.

Shapes inside: q [B H S D], k and v [B Hkv S D]; S = P + G * C for training, P for the prefill, G for a decoding step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers import Cache
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.modeling_utils import AttentionInterface

from ral.models.attention.kernel import KERNELS, attend_shared, summed
from ral.models.attention.unhonoured import refuse_unhonoured
from ral.ops.attention import AttentionSpec, CapturedAttention
from ral.types import Shown

Pair = tuple[Tensor, Tensor]
"""Keys and values."""
NAME = "ral"
"""The attention implementation's name in Transformers' registry."""


class Layout(Protocol):
    """Treatment, by a forward pass, of the queries, keys and values of a layer.

    mask: Transformers' own mask [B S] of valid positions, past: its cache; None where the layout attends itself.
    """

    @property
    def mask(self) -> Tensor | None: ...

    @property
    def past(self) -> Cache | None: ...

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor | None:
        """Attention output [B S H D]; None leaves the attention to SDPA with the caller's mask."""
        ...


def shared_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    layout: Layout | None = None,
    **kwargs: object,
) -> tuple[Tensor, None]:
    """The registered attention function: a layout's, or SDPA where the caller (such as `generate`) gave none.

    UserError for what neither would honour, so that it is not left out unseen.
    """
    out = None if layout is None else layout.attend(int(module.layer_idx), query, key, value, scaling)
    refuse_unhonoured(module, kwargs, causal=layout is not None, whole=out is not None)
    if out is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    return out, None


AttentionInterface.register(NAME, shared_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


APART_FROM = 512
"""Padded prompts of this length or longer go through the kernel one by one, without a mask; on CUDA all do."""


def _apart(tensor: Tensor, length: int) -> bool:
    """Tell whether padded prompts are attended one by one."""
    return tensor.is_cuda or length >= APART_FROM


def _starts(valid: Tensor) -> list[int]:
    """Return the position at which each left-padded prompt begins."""
    return valid.int().argmax(1).tolist()


def on_prompts(query: Tensor, key: Tensor, value: Tensor, valid: Tensor, mask: Tensor | None, scaling: float) -> Tensor:
    """Causal attention [B P H D] of prompts; zero where nothing is valid, if they go one by one."""
    if mask is None or not _apart(query, query.shape[2]):
        return _sdpa(query, key, value, mask, scaling)
    rows = []
    for n, start in enumerate(_starts(valid)):
        own = (slice(n, n + 1), slice(None), slice(start, None))
        rows.append(pad(_sdpa(query[own], key[own], value[own], None, scaling), (0, 0, 0, 0, start, 0)))
    return torch.cat(rows)


def _sdpa(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float) -> Tensor:
    """Fast attention [B S H D]; mask [B 1 S K], True = attend; None = causal."""
    grouped = query.shape[1] != key.shape[1]
    if grouped and query.is_cuda and (mask is not None or query.dtype == torch.float32):  # no fast kernel groups here
        key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], dim=1) for x in (key, value))
        grouped = False
    out = scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=mask is None, scale=scaling, enable_gqa=grouped
    )
    return out.transpose(1, 2)


def prompt_mask(valid: Tensor) -> Tensor | None:
    """Causal mask [B 1 P P] of left-padded prompts; None (plain causal) where nothing is padded.

    A padded position attends to itself, so that no softmax is empty; no valid position attends to it.
    """
    if bool(valid.all()):
        return None
    length = valid.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=valid.device).tril()
    itself = torch.eye(length, dtype=torch.bool, device=valid.device)
    return ((causal & valid[:, None]) | itself)[:, None]


def response_mask(valid: Tensor, group_size: int, length: int) -> Tensor:
    """Mask [B 1 G*C P+G*C]: a response token attends to the valid prompt and to its own response up to itself."""
    owner = torch.arange(group_size, device=valid.device).repeat_interleave(length)
    at = torch.arange(length, device=valid.device).repeat(group_size)
    own = (owner[:, None] == owner[None]) & (at[None] <= at[:, None])
    batch, queries = valid.shape[0], group_size * length
    return torch.cat([valid[:, None].expand(-1, queries, -1), own.expand(batch, -1, -1)], dim=-1)[:, None]


class Explores(Protocol):
    """A disturbance of the attention of responses while they are decoded, with its record (ral.rollout.noise)."""

    layers: tuple[int, ...]

    def keep(self, prompts: Tensor, slots: Tensor) -> None:
        """Go on with the prompts [B'] and, of each, the responses slots [B' G'] alone."""
        ...

    def attend(self, layer: int, scores: Tensor) -> Tensor:
        """Attention weights [B Hkv G R K], fp32, from scores of that shape (masked ones at -inf)."""
        ...


@dataclass
class Recorder:
    """Training layout that leaves the attention to SDPA under `mask` and records queries and keys of `layers`.

    valid [B P]; a row holds the prompt and group_size responses of response_length tokens.
    """

    valid: Tensor
    group_size: int
    response_length: int
    layers: tuple[int, ...] = ()
    mask: Tensor | None = None
    past: Cache | None = None
    recorded: dict[int, tuple[Tensor, Tensor, float]] = field(default_factory=dict)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor | None:
        """Records, and leaves the attention to SDPA."""
        if layer in self.layers:
            self.recorded[layer] = (query, key, scaling)
        return None

    def captured(
        self, spec: AttentionSpec, visual: Tensor, valid: Tensor, shown: Shown | None = None
    ) -> CapturedAttention:
        """The recorded queries and keys as the attention policy needs them. visual [B P], valid [N C]."""
        layers = [self._split(*self.recorded[layer][:2], spec) for layer in self.layers]
        query, prompt_keys, response_keys = (tuple(column) for column in zip(*layers, strict=True))
        scaling = self.recorded[self.layers[0]][2]
        parts = (query, prompt_keys, response_keys, self.valid, visual)
        if shown is None:
            return CapturedAttention(*parts, valid, scaling, spec)
        return CapturedAttention(*parts, shown.trainable, scaling, spec, valid, shown.visual)

    def _split(self, query: Tensor, key: Tensor, spec: AttentionSpec) -> tuple[Tensor, Tensor, Tensor]:
        """query [B H R G C D], prompt keys [B H P D], response keys [B H G C D] of one layer."""
        p, repeat = self.valid.shape[1], query.shape[1] // key.shape[1]
        if isinstance(spec.heads, str):
            query = query.unflatten(1, (key.shape[1], repeat))
        else:
            chosen = torch.tensor(list(spec.heads), device=query.device)
            query, key = query[:, chosen, None], key[:, chosen // repeat]
        responses = query[..., p:, :].unflatten(-2, (self.group_size, self.response_length))
        if spec.query == "previous":
            last = query[..., p - 1 : p, :].unsqueeze(-3).expand(*responses.shape[:-2], 1, -1)
            responses = torch.cat([last, responses[..., :-1, :]], dim=-2)
        own = key[:, :, p:].unflatten(2, (self.group_size, self.response_length))
        if not torch.is_grad_enabled():
            responses = responses.clone()  # of the queries nothing but these stays
        return responses, key[:, :, :p], own


@dataclass
class Packed(Recorder):
    """Training layout of shared prompts: a prompt and all its responses in one row."""

    def __post_init__(self) -> None:
        self._prompt_mask = prompt_mask(self.valid)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Two calls of the fast kernel: prompt on prompt, responses on everything they may see."""
        super().attend(layer, query, key, value, scaling)
        p = self.valid.shape[1]
        before, own = (key[:, :, :p], value[:, :, :p]), (key[:, :, p:], value[:, :, p:])
        prompt = on_prompts(query[:, :, :p], *before, self.valid, self._prompt_mask, scaling)
        return torch.cat([prompt, self.respond(query[:, :, p:], before, own, scaling)], dim=1)

    def respond(self, query: Tensor, before: Pair, own: Pair, scaling: float) -> Tensor:
        """Responses on everything they may see, [B G*C H D]."""
        if query.device.type in KERNELS:
            return self._on_shared(query, before, own, scaling).transpose(1, 2)
        mask = response_mask(self.valid, self.group_size, self.response_length)
        key, value = (torch.cat(pair, dim=2) for pair in zip(before, own, strict=True))
        return _sdpa(query, key, value, mask, scaling)

    def _on_shared(self, query: Tensor, before: Pair, own: Pair, scaling: float) -> Tensor:
        """Responses on their prompt and themselves, [B H G*C D]; long padded prompts one by one."""
        if self._prompt_mask is None:
            return attend_shared(query, before, own, None, self.group_size, scaling)
        if not _apart(query, before[0].shape[2]):
            return attend_shared(query, before, own, self.valid, self.group_size, scaling)
        rows = []
        for n, start in enumerate(_starts(self.valid)):
            one = slice(n, n + 1)
            prompt = (before[0][one, :, start:], before[1][one, :, start:])
            mine = (own[0][one], own[1][one])
            rows.append(attend_shared(query[one], prompt, mine, None, self.group_size, scaling))
        return torch.cat(rows)


@dataclass
class Prefill:
    """Rollout layout of the prompts: causal attention that keeps each layer's keys and values, once per prompt."""

    valid: Tensor
    mask: Tensor | None = None
    past: Cache | None = None
    cache: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._mask = prompt_mask(self.valid)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Fast causal attention; the keys and values stay in `cache`."""
        self.cache[layer] = (key.to(value.dtype).contiguous(), value.contiguous())  # one layout for every decoding step
        return on_prompts(query, key, value, self.valid, self._mask, scaling)


@dataclass
class Extend(Packed):
    """Rollout layout of the tokens that responses are made to begin with, over a prefilled prompt's cache.

    Their own keys and values stay in `own`, [B Hkv G T D].
    """

    cache: dict[int, Pair] = field(default_factory=dict)
    own: dict[int, Pair] = field(default_factory=dict)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Responses on the prompt and on themselves."""
        key, value = key.to(value.dtype), value
        shape = (self.group_size, self.response_length)
        self.own[layer] = key.unflatten(2, shape).contiguous(), value.unflatten(2, shape).contiguous()
        return self.respond(query, self.cache[layer], (key, value), scaling)


@dataclass
class Decode:
    """Rollout layout of one step for the G responses of each prompt.

    The prompt's cache is read in place by all G queries at once; each response's own keys and values go to buffers
    [B Hkv G capacity D] at `step`, which the caller advances; the buffers double when they are full. `position` [B G]:
    that of the first sampled token. given [B G T]: which of the first T own tokens a response really began with; None
    where it began with none. explored: disturbs the attention of some layers; None for none.
    """

    valid: Tensor
    position: Tensor
    cache: dict[int, Pair]
    capacity: int = 64
    step: int = 0
    past: Cache | None = None
    own: dict[int, Pair] = field(default_factory=dict)
    given: Tensor | None = None
    explored: Explores | None = None

    def __post_init__(self) -> None:
        self.padded = not bool(self.valid.all())

    @property
    def mask(self) -> Tensor | None:
        """None: attends itself."""
        return None

    def keep(self, prompts: Tensor, slots: Tensor) -> None:
        """Go on with the prompts [B'] and, of each, the responses slots [B' G'] alone."""
        if len(prompts) < len(self.valid):
            self.cache = {layer: (k[prompts], v[prompts]) for layer, (k, v) in self.cache.items()}
        rows = prompts[:, None]
        self.valid, self.position = self.valid[prompts], self.position[rows, slots]
        self.given = None if self.given is None else self.given[rows, slots]
        if self.explored is not None:
            self.explored.keep(prompts, slots)
        self.own = {
            layer: (k[rows, :, slots].transpose(1, 2), v[rows, :, slots].transpose(1, 2))
            for layer, (k, v) in self.own.items()
        }

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """One joint softmax, in fp32, over the prompt's keys and the response's own; output [B G H D]."""
        prompt_k, prompt_v = self.cache[layer]
        query, key = query.to(value.dtype), key.to(value.dtype)  # autocast may leave them wider
        own_k, own_v = self._append(layer, key, value)
        batch, heads, group, width = query.shape
        kv_heads, p = key.shape[1], prompt_k.shape[2]
        q = query.view(batch, kv_heads, -1, group, width).transpose(2, 3)  # [B Hkv G R D]
        on_prompt = summed(q.flatten(2, 3), prompt_k.mT, scaling).unflatten(2, (group, -1))
        if self.padded:
            on_prompt = on_prompt.masked_fill(~self.valid[:, None, None, None], -torch.inf)
        on_own = summed(q, own_k.mT, scaling)
        if self.given is not None:
            began = self.given.shape[2]
            on_own[..., :began].masked_fill_(~self.given[:, None, :, None], -torch.inf)
        scores = torch.cat([on_prompt, on_own], dim=-1)
        weights = self.weigh(layer, scores).to(value.dtype)
        out = summed(weights[..., :p].flatten(2, 3), prompt_v).unflatten(2, (group, -1))
        out = (out + summed(weights[..., p:], own_v)).to(value.dtype)
        return out.permute(0, 2, 1, 3, 4).reshape(batch, group, heads, width)

    def explores(self, layer: int) -> bool:
        """Tell whether the attention of a layer is disturbed."""
        return self.explored is not None and layer in self.explored.layers

    def weigh(self, layer: int, scores: Tensor) -> Tensor:
        """Attention weights in fp32 from scores [B Hkv G R K], masked ones at -inf."""
        if self.explored is not None and self.explores(layer):
            return self.explored.attend(layer, scores)
        return torch.softmax(scores, dim=-1, dtype=torch.float32)

    def _append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Own keys and values so far, [B Hkv G t D]."""
        shape = (*key.shape[:3], self.capacity, key.shape[3])
        keys, values = self.own.get(layer) or (key.new_empty(shape), value.new_empty(shape))
        at = self.step + (0 if self.given is None else self.given.shape[2])
        if at == keys.shape[3]:
            more = (*shape[:3], max(at, self.capacity), shape[4])
            keys, values = (torch.cat([x, x.new_empty(more)], dim=3) for x in (keys, values))
        keys[..., at, :] = key
        values[..., at, :] = value
        self.own[layer] = keys, values
        return keys[..., : at + 1, :], values[..., : at + 1, :]
