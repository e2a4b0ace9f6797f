"""States of linear-attention layers: kept after a prompt, handed to each of its responses ("answers" in names).

A layer of linear attention (Qwen3.5's gated delta rule) reads earlier tokens from the last inputs of a convolution and
from a recurrent state, and its module asks the cache of a pass for both. `LinearStates` is such a cache: it hands out
the states that the prompt left, with their graph, so that prompts are computed once and the gradient of every response
reaches them. A sequence [prompt | r1 | ... | rG] then takes two passes of the decoder: one over B prompts, one over
B * G responses, each of which begins with the states of its prompt. No class of Transformers is patched.

Shapes, of M sequences: convolution [M F K] (F channels, K inputs), recurrent [M H Dk Dv] (widths of a head's keys and
values); others: `ral.models.attention.interface`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True)
class Kept:
    """States in which linear-attention layers end: decoder layer -> conv [M F K], and -> recurrent [M H Dk Dv]."""

    conv: dict[int, Tensor] = field(default_factory=dict)
    recurrent: dict[int, Tensor] = field(default_factory=dict)

    def take(self, rows: Tensor) -> Kept:
        """Return the states of the sequences with the indices `rows`, [R] int, in this order; an index may repeat."""
        return Kept({n: x[rows] for n, x in self.conv.items()}, {n: x[rows] for n, x in self.recurrent.items()})

    def where(self, fed: Tensor, others: Kept) -> Kept:
        """Return these states for the sequences that `fed` [M] marks, and those of `others` for the rest."""
        conv = {n: torch.where(fed[:, None, None], x, others.conv[n]) for n, x in self.conv.items()}
        return Kept(
            conv, {n: torch.where(fed[:, None, None, None], x, others.recurrent[n]) for n, x in self.recurrent.items()}
        )


@dataclass
class LinearStates:
    """Cache of a pass for Transformers' linear-attention layers: hands out the states `before`, collects `kept`.

    before: states that the sequences begin with; None where they begin with no earlier token. group: number of adjacent
    sequences that begin with the same state. Nothing is changed in place and each state is kept once, so that a pass
    recomputed for its backward pass (gradient checkpointing) reads and leaves the same states.
    """

    before: Kept | None = None
    group: int = 1
    kept: Kept = field(default_factory=Kept)

    def next(self) -> LinearStates:
        """Return the cache of a pass that continues from the states kept here."""
        return LinearStates(self.kept)

    def handed(self, group: int) -> LinearStates:
        """Return a cache in which `group` responses to each sequence begin with copies of the states kept here."""
        rows = next(iter(self.kept.recurrent.values()))
        return LinearStates(self.kept.take(torch.arange(len(rows), device=rows.device).repeat_interleave(group)))

    def get_conv_state(self, layer_idx: int, state_idx: int = 0) -> Tensor | None:
        """Return the last inputs [M F K] of a layer's convolution before this pass; None where `before` is None."""
        return None if self.before is None else self.before.conv[layer_idx].repeat_interleave(self.group, dim=0)

    def get_recurrent_state(self, layer_idx: int, state_idx: int = 0) -> Tensor | None:
        """Return a layer's recurrent state [M H Dk Dv] before this pass; None where `before` is None."""
        return None if self.before is None else self.before.recurrent[layer_idx].repeat_interleave(self.group, dim=0)

    def is_recording_past(self, layer_idx: int) -> bool:
        """Return True, so that layers hand inputs of convolutions to `update_conv_state` and write none in place."""
        return True

    def update_conv_state(
        self, conv_states: Tensor, layer_idx: int, state_idx: int = 0, *, conv_kernel_size: int, **others: object
    ) -> Tensor:
        """Return the inputs of a layer's convolution, those before this pass followed by conv_states [M F S].

        The last conv_kernel_size of them are kept, [M F conv_kernel_size], zero where there are fewer.
        """
        before = self.get_conv_state(layer_idx)
        whole = conv_states if before is None else torch.cat([before.to(conv_states.dtype), conv_states], dim=-1)
        last = whole[..., -conv_kernel_size:]
        self.kept.conv.setdefault(layer_idx, pad(last, (conv_kernel_size - last.shape[-1], 0)).clone())
        return whole

    def update_recurrent_state(
        self, recurrent_states: Tensor, layer_idx: int, state_idx: int = 0, **others: object
    ) -> Tensor:
        """Keep the recurrent state in which a layer ends, unless its state is kept already; return the kept state."""
        return self.kept.recurrent.setdefault(layer_idx, recurrent_states)

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *others: object, **named: object
    ) -> tuple[Tensor, Tensor]:
        """Return keys and values of softmax attention unchanged, since layouts keep them."""
        return key_states, value_states


class OfPrompts(Protocol):
    """A layout whose sequences begin with a prompt. valid [B P]: prompt tokens that are no padding."""

    valid: Tensor

    def on_prompt(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Return the attention [B P H D] of prompts; keep the keys and values that their responses need."""
        ...


class OfAnswers(Protocol):
    """A layout of the G responses to each prompt, after their prompts' pass."""

    def on_answers(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Return the attention [B G*C H D] of responses on their prompt and on themselves."""
        ...


@dataclass(frozen=True)
class PromptPart:
    """Layout of the pass over prompts alone. whole: the layout of [prompt | responses], which computes the attention.

    past: collects the linear-attention states. mask: None, since the layout computes attention itself.
    """

    whole: OfPrompts
    past: LinearStates
    mask: Tensor | None = None

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Return the attention [B P H D] that `whole.on_prompt` computes."""
        return self.whole.on_prompt(layer, query, key, value, scaling)


@dataclass(frozen=True)
class AnswersPart:
    """Layout of the pass over B * G responses as sequences of their own. group: G, responses to a prompt.

    whole: the layout of [prompt | responses], which computes the attention. past: hands out the linear-attention states
    after the prompts. mask: None, since the layout computes attention itself.
    """

    whole: OfAnswers
    past: LinearStates
    group: int
    mask: Tensor | None = None

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Return the attention [B*G C H D] of single responses, computed by `whole.on_answers` for groups of them."""
        query, key, value = (
            x.unflatten(0, (-1, self.group)).transpose(1, 2).flatten(2, 3) for x in (query, key, value)
        )
        out = self.whole.on_answers(layer, query, key, value, scaling)
        return out.unflatten(1, (self.group, -1)).flatten(0, 1)


Stack = Callable[[Tensor, Tensor, PromptPart | AnswersPart, Tensor | None], Tensor]
"""The decoder: (embeddings [M S D], positions [3 M S], layout, valid [M S] or None for all) -> hidden states [M S D].
"""


def run_prompts(stack: Stack, embeds: Tensor, positions: Tensor, layout: OfPrompts, past: LinearStates) -> Tensor:
    """Run the decoder over left-padded prompts; return the hidden states [B P D] after its last layer.

    stack: the decoder. embeds [B P D], positions [3 B P]: those of the prompts. layout: computes the attention. past:
    collects the linear-attention states, which padding does not enter.
    """
    valid = None if bool(layout.valid.all()) else layout.valid
    return stack(embeds, positions, PromptPart(layout, past), valid)


def run_answers(
    stack: Stack, embeds: Tensor, positions: Tensor, layout: OfAnswers, past: LinearStates, group: int
) -> Tensor:
    """Run the decoder over the responses to B prompts; return hidden states [B G*C D] after its last layer.

    stack: the decoder. embeds [B G*C D], positions [3 B G*C]: those of the responses, padded on the right. layout:
    computes the attention. past: hands out the linear-attention states with which each response begins. group: G.
    """
    rows = embeds.unflatten(1, (group, -1)).flatten(0, 1)
    places = positions.unflatten(2, (group, -1)).flatten(1, 2)
    out = stack(rows, places, AnswersPart(layout, past, group), None)
    return out.unflatten(0, (-1, group)).flatten(1, 2)
