"""States of linear-attention layers: kept after a prompt, handed to each of its answers.

A layer of linear attention (Qwen3.5's gated delta rule) reads what came before from the last inputs of a convolution
and from a recurrent state, and its module asks the cache of a pass for both. `LinearStates` is such a cache: it hands
out the states that the prompt left, with their graph, so that prompts are computed once and the gradient of every
answer reaches them. A row [prompt | r1 | ... | rG] is then two passes of the decoder: over the prompts, B rows, and
over the answers, B * G rows that begin with the states of their prompt. No class of Transformers is patched.

Shapes: convolution [M F K] (F channels, K inputs), recurrent [M H Dk Dv]; others: `ral.models.attention.interface`.
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
    """States that linear-attention layers end with, by decoder layer."""

    conv: dict[int, Tensor] = field(default_factory=dict)
    recurrent: dict[int, Tensor] = field(default_factory=dict)

    def take(self, rows: Tensor) -> Kept:
        """Return the states of some rows, which may occur several times."""
        return Kept({n: x[rows] for n, x in self.conv.items()}, {n: x[rows] for n, x in self.recurrent.items()})

    def where(self, fed: Tensor, others: Kept) -> Kept:
        """Return these states for the rows that `fed` [M] marks, and those of `others` for the rest."""
        conv = {n: torch.where(fed[:, None, None], x, others.conv[n]) for n, x in self.conv.items()}
        return Kept(
            conv, {n: torch.where(fed[:, None, None, None], x, others.recurrent[n]) for n, x in self.recurrent.items()}
        )


@dataclass
class LinearStates:
    """Cache of a pass, as Transformers' linear-attention layers ask for it: hands out `before`, collects `kept`.

    before: states that the rows begin with; None where they begin with nothing. group: rows that begin with the same
    state, one after the other. Nothing is changed in place and a state is kept once, so that a pass that is computed
    again for its backward pass reads and leaves what it did.
    """

    before: Kept | None = None
    group: int = 1
    kept: Kept = field(default_factory=Kept)

    def next(self) -> LinearStates:
        """Return the cache of a pass that goes on from the states kept here."""
        return LinearStates(self.kept)

    def handed(self, group: int) -> LinearStates:
        """Return the cache by which each of `group` answers goes on from the states kept here, a row of its own."""
        rows = next(iter(self.kept.recurrent.values()))
        return LinearStates(self.kept.take(torch.arange(len(rows), device=rows.device).repeat_interleave(group)))

    def get_conv_state(self, layer_idx: int, state_idx: int = 0) -> Tensor | None:
        """Return the last inputs of a layer's convolution before these rows."""
        return None if self.before is None else self.before.conv[layer_idx].repeat_interleave(self.group, dim=0)

    def get_recurrent_state(self, layer_idx: int, state_idx: int = 0) -> Tensor | None:
        """Return a layer's recurrent state before these rows."""
        return None if self.before is None else self.before.recurrent[layer_idx].repeat_interleave(self.group, dim=0)

    def is_recording_past(self, layer_idx: int) -> bool:
        """Return True: the convolution's inputs are asked for by `update_conv_state`, and not written in place."""
        return True

    def update_conv_state(
        self, conv_states: Tensor, layer_idx: int, state_idx: int = 0, *, conv_kernel_size: int, **others: object
    ) -> Tensor:
        """Put inputs [M F S] of a layer's convolution behind those before them; keep the last ones."""
        before = self.get_conv_state(layer_idx)
        whole = conv_states if before is None else torch.cat([before.to(conv_states.dtype), conv_states], dim=-1)
        last = whole[..., -conv_kernel_size:]
        self.kept.conv.setdefault(layer_idx, pad(last, (conv_kernel_size - last.shape[-1], 0)).clone())
        return whole

    def update_recurrent_state(
        self, recurrent_states: Tensor, layer_idx: int, state_idx: int = 0, **others: object
    ) -> Tensor:
        """Keep the state that a layer ends with."""
        return self.kept.recurrent.setdefault(layer_idx, recurrent_states)

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *others: object, **named: object
    ) -> tuple[Tensor, Tensor]:
        """Return keys and values of softmax attention as they are: the layout keeps them."""
        return key_states, value_states


class OfPrompts(Protocol):
    """A layout whose rows begin with a prompt."""

    valid: Tensor

    def on_prompt(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Return the attention [B P H D] of prompts, and keep what their answers need of it."""
        ...


class OfAnswers(Protocol):
    """A layout whose rows go on with the G answers of a prompt."""

    def on_answers(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Return the attention [B G*C H D] of answers on their prompt and on themselves."""
        ...


@dataclass(frozen=True)
class PromptPart:
    """Layout of the pass over prompts."""

    whole: OfPrompts
    past: LinearStates
    mask: Tensor | None = None

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Do as the prompts of the whole row."""
        return self.whole.on_prompt(layer, query, key, value, scaling)


@dataclass(frozen=True)
class AnswersPart:
    """Layout of the pass over answers, one row each; `group` of them have one prompt."""

    whole: OfAnswers
    past: LinearStates
    group: int
    mask: Tensor | None = None

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Do as the answers of the whole row: [B*G H C D] -> [B*G C H D]."""
        query, key, value = (
            x.unflatten(0, (-1, self.group)).transpose(1, 2).flatten(2, 3) for x in (query, key, value)
        )
        out = self.whole.on_answers(layer, query, key, value, scaling)
        return out.unflatten(1, (self.group, -1)).flatten(0, 1)


Stack = Callable[[Tensor, Tensor, PromptPart | AnswersPart, Tensor | None], Tensor]
"""The decoder: embeddings [M S D], positions [3 M S], layout, valid tokens [M S] or None for all -> states [M S D]."""


def run_prompts(stack: Stack, embeds: Tensor, positions: Tensor, layout: OfPrompts, past: LinearStates) -> Tensor:
    """Run prompts [B P D], left-padded; their states stay in `past`. Padding enters no state."""
    valid = None if bool(layout.valid.all()) else layout.valid
    return stack(embeds, positions, PromptPart(layout, past), valid)


def run_answers(
    stack: Stack, embeds: Tensor, positions: Tensor, layout: OfAnswers, past: LinearStates, group: int
) -> Tensor:
    """Run the answers [B G*C D] of prompts, one row each, from the states that `past` hands out.

    They are padded on the right, where nothing reads a state.
    """
    rows = embeds.unflatten(1, (group, -1)).flatten(0, 1)
    places = positions.unflatten(2, (group, -1)).flatten(1, 2)
    out = stack(rows, places, AnswersPart(layout, past, group), None)
    return out.unflatten(0, (-1, group)).flatten(1, 2)
