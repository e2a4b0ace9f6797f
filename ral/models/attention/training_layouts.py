"""Attention of a training pass: a prompt and all its responses in one sequence.

The G responses to one prompt form one sequence [prompt | r1 | ... | rG] in which every response attends to the prompt
and to itself, so that the prompt is computed once, not G times. These layouts also record the queries and keys of
chosen layers, from which RAL computes its attention rows. Shapes: `ral.models.attention.interface`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import Cache

from ral.models.attention.kernel import KERNELS, attend_shared
from ral.models.attention.padded import apart, cut_mask, on_prompts, prompt_mask, response_mask, sdpa, starts
from ral.models.attention.recurrent import LinearStates
from ral.ops.attention import AttentionSpec, CapturedAttention, QueriesAndKeys
from ral.types import Cut, Shown

Pair = tuple[Tensor, Tensor]
"""Keys and values of one layer."""


@dataclass
class Recorder:
    """Training layout that leaves the attention to SDPA under `mask` and records queries and keys of `layers`.

    valid [B P]; a sequence holds a prompt and group_size responses of response_length tokens. layers: indices, among
    layers of softmax attention, of those that are recorded. mask: valid positions [B S] for Transformers; None where
    none is needed. past: Transformers' cache, or that of linear-attention states; None where the pass has no cache.
    recorded: layer -> (queries, keys, scaling). cut: prompt tokens hidden from attention; None where none is hidden.
    """

    valid: Tensor
    group_size: int
    response_length: int
    layers: tuple[int, ...] = ()
    mask: Tensor | None = None
    past: Cache | LinearStates | None = None
    recorded: dict[int, tuple[Tensor, Tensor, float]] = field(default_factory=dict)
    cut: Cut | None = None

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor | None:
        """Record queries and keys; return None, which leaves the attention to SDPA, or [B S H D] under a knockout."""
        self.record(layer, query, key, scaling)
        if self.cut is None or not self.cut.hides(layer, prompt=True, response=True):
            return None
        return sdpa(query, key, value, cut_mask(self.valid if self.mask is None else self.mask, self.cut), scaling)

    def record(self, layer: int, query: Tensor, key: Tensor, scaling: float) -> None:
        """Store queries and keys, with their scaling, where the layer is one of `layers`."""
        if layer in self.layers:
            self.recorded[layer] = (query, key, scaling)

    def captured(
        self, spec: AttentionSpec, visual: Tensor, valid: Tensor, shown: Shown | None = None
    ) -> CapturedAttention:
        """Return the recorded queries and keys as a CapturedAttention.

        spec: the heads to keep, and the position whose query each token has. visual [B P]: visual tokens of prompts.
        valid [N C]: response tokens that are no padding. shown: tokens of responses that were not sampled; None where
        all were sampled.
        """
        layers = tuple(self._split(*self.recorded[layer][:2], spec) for layer in self.layers)
        scaling = self.recorded[self.layers[0]][2]
        if shown is None:
            return CapturedAttention(layers, self.valid, visual, valid, scaling, spec)
        return CapturedAttention(layers, self.valid, visual, shown.trainable, scaling, spec, valid, shown.visual)

    def _split(self, query: Tensor, key: Tensor, spec: AttentionSpec) -> QueriesAndKeys:
        """Return one layer's recorded keys, split into those of prompts and of responses, and the responses' queries.

        All are those of the chosen heads alone. With spec.query="previous" each query is that of the position before.
        """
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
            responses = responses.clone()  # so that the memory of the prompts' queries is freed
        return QueriesAndKeys(responses, key[:, :, :p], own)


@dataclass
class Packed(Recorder):
    """Training layout of shared prompts: a prompt and all its responses in one sequence.

    One pass computes them all (`attend`). Networks with linear-attention layers need two: a first pass of the prompts
    (`on_prompt`) and a second one of the responses (`on_answers`). prompts: layer -> queries, keys and values of the
    first pass; queries are empty for layers that are not recorded.
    """

    prompts: dict[int, tuple[Tensor, Tensor, Tensor]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._prompt_mask = prompt_mask(self.valid)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Record queries and keys; return the attention [B S H D].

        Prompts attend to themselves, responses to their prompt and to themselves.
        """
        self.record(layer, query, key, scaling)
        p = self.valid.shape[1]
        before, own = (key[:, :, :p], value[:, :, :p]), (key[:, :, p:], value[:, :, p:])
        prompt = self._of_prompts(layer, query[:, :, :p], before, scaling)
        return torch.cat([prompt, self._of_answers(layer, query[:, :, p:], before, own, scaling)], dim=1)

    def on_prompt(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Compute attention of prompts alone, [B P H D]; store their keys and values, and queries if recorded."""
        self.prompts[layer] = (query if layer in self.layers else query[:, :, :0], key, value)
        return self._of_prompts(layer, query, (key, value), scaling)

    def on_answers(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Compute attention of responses alone, [B G*C H D], after `on_prompt`; record queries and keys of both."""
        first, *before = self.prompts[layer]
        if layer in self.layers:
            whole = torch.cat([first, query], dim=2), torch.cat([before[0], key], dim=2)
            self.record(layer, *whole, scaling)
        return self._of_answers(layer, query, (before[0], before[1]), (key, value), scaling)

    def _of_prompts(self, layer: int, query: Tensor, before: Pair, scaling: float) -> Tensor:
        """Compute attention of prompts on themselves, [B P H D], under the knockout if there is one."""
        if self.cut is not None and self.cut.hides(layer, prompt=True):
            return sdpa(query, *before, cut_mask(self.valid, self.cut), scaling)
        return on_prompts(query, *before, self.valid, self._prompt_mask, scaling)

    def _of_answers(self, layer: int, query: Tensor, before: Pair, own: Pair, scaling: float) -> Tensor:
        """Compute attention [B G*C H D] of responses on prompt and response, under the knockout if there is one."""
        cut = self.cut.keys if self.cut is not None and self.cut.hides(layer, response=True) else None
        return self.respond(query, before, own, scaling, cut)

    def respond(self, query: Tensor, before: Pair, own: Pair, scaling: float, cut: Tensor | None = None) -> Tensor:
        """Compute attention [B G*C H D] of responses on their prompt and on themselves.

        before, own: keys and values of prompts and of responses. cut [B P]: prompt tokens hidden from responses; None
        where none is hidden.
        """
        if query.device.type in KERNELS and cut is None:
            return self._on_shared(query, before, own, scaling).transpose(1, 2)
        seen = self.valid if cut is None else self.valid & ~cut
        mask = response_mask(seen, self.group_size, self.response_length)
        key, value = (torch.cat(pair, dim=2) for pair in zip(before, own, strict=True))
        return sdpa(query, key, value, mask, scaling)

    def _on_shared(self, query: Tensor, before: Pair, own: Pair, scaling: float) -> Tensor:
        """Compute attention [B H G*C D] of responses by `attend_shared`; long padded prompts one by one."""
        if self._prompt_mask is None:
            return attend_shared(query, before, own, None, self.group_size, scaling)
        if not apart(query, before[0].shape[2]):
            return attend_shared(query, before, own, self.valid, self.group_size, scaling)
        rows = []
        for n, start in enumerate(starts(self.valid)):
            one = slice(n, n + 1)
            prompt = (before[0][one, :, start:], before[1][one, :, start:])
            mine = (own[0][one], own[1][one])
            rows.append(attend_shared(query[one], prompt, mine, None, self.group_size, scaling))
        return torch.cat(rows)
