"""Prompts in two stages: as collated, with pixels (PromptBatch), and as the model reads them (Prepared).

B, P, D, J: see `ral.types`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from ral.types.examples import Example, MediaKind

Grid = tuple[int, int, int]
"""(T, H, W): temporal slots, rows and columns of the visual tokens of one image or video, after merging."""


class Sequences(Protocol):
    """M padded rows of S tokens each, with their images and videos: the least that a model needs to embed them."""

    @property
    def token_ids(self) -> Tensor:
        """Return the tokens, [M S] int64."""
        ...

    @property
    def valid(self) -> Tensor:
        """Return a mask of the tokens that are no padding, [M S] bool."""
        ...

    @property
    def media(self) -> dict[str, Tensor]:
        """Return the keyword tensors of the vision tower (pixel_values, image_grid_thw, ...); {} for text alone."""
        ...


@dataclass(frozen=True)
class Wording:
    """One prompt in words.

    text: the prompt as the chat template writes it, with one placeholder for each image or video.
    token_ids: the tokens of `text`, with one token for each placeholder, for an engine that replaces placeholders by
    visual tokens itself (`ral.rollout.requests`).
    kinds: "image" or "video" for each placeholder, in their order.
    target: the response to learn in supervised fine-tuning; else None.
    """

    text: str
    token_ids: tuple[int, ...] = ()
    kinds: tuple[MediaKind, ...] = ()
    target: str | None = None


@dataclass(frozen=True)
class PromptBatch:
    """B prompts as collated, with their pixels.

    token_ids  [B P] int64, left-padded            valid [B P] bool
    visual     [B P] bool, True on image and video placeholders
    media      keyword tensors of the vision tower (pixel_values, image_grid_thw, ...), patches of all prompts one
               after another in the order of the placeholders; {} when no prompt has media. Also, one value for each
               video: second_per_grid_ts (seconds of a temporal slot) and frame_counts (frames sampled)
    examples   the B examples;  wordings: the same prompts in words
    grids      per prompt, per image or video: (T, H, W) of its visual tokens after merging
    evidence   [B P] bool, True on visual tokens inside the evidence of the prompt's first image or video
    """

    token_ids: Tensor
    valid: Tensor
    visual: Tensor
    media: dict[str, Tensor]
    examples: tuple[Example, ...]
    wordings: tuple[Wording, ...]
    grids: tuple[tuple[Grid, ...], ...]
    evidence: Tensor

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def texts(self) -> tuple[str, ...]:
        """Return the B prompts as the chat template writes them."""
        return tuple(wording.text for wording in self.wordings)

    @property
    def targets(self) -> tuple[str, ...]:
        """Return the B responses to learn in supervised fine-tuning; () otherwise."""
        return tuple(wording.target for wording in self.wordings if wording.target is not None)

    def to(self, device: torch.device | str) -> PromptBatch:
        """Return the same batch with every tensor on `device`."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Any] = {name: v.to(device) for name, v in values.items() if isinstance(v, Tensor)}
        return replace(self, media={k: v.to(device) for k, v in self.media.items()}, **moved)

    def start(self, chosen: Sequence[int]) -> int:
        """Return the first column that is no padding in the longest of the chosen prompts."""
        return int(self.valid[rows_of(chosen)].int().argmax(1).min())

    def take(self, chosen: Sequence[int]) -> PromptBatch:
        """Return the chosen prompts in this order, without pixels, less the padding columns that all of them share."""
        return self._pick(chosen, self.start(chosen))

    def repeat(self, count: int) -> PromptBatch:
        """Return each prompt `count` times in a row, [B * count, P], without pixels."""
        return self._pick([n for n in range(len(self)) for _ in range(count)], 0)

    def _pick(self, chosen: Sequence[int], start: int) -> PromptBatch:
        at = (rows_of(chosen), slice(start, None))
        return PromptBatch(
            token_ids=self.token_ids[at],
            valid=self.valid[at],
            visual=self.visual[at],
            media={},
            examples=tuple(self.examples[n] for n in chosen),
            wordings=tuple(self.wordings[n] for n in chosen),
            grids=tuple(self.grids[n] for n in chosen),
            evidence=self.evidence[at],
        )


@dataclass(frozen=True)
class VisualStates:
    """Visual embeddings of M sequences of S tokens, at the places of the visual tokens; zero elsewhere.

    states [M S D]: replace the embeddings of visual tokens. deepstack [J M S D]: added to the hidden states after each
    of the first J decoder layers; J is 0 for most model families.
    """

    states: Tensor
    deepstack: Tensor

    def take(self, rows: slice | Tensor | Sequence[int], columns: slice) -> VisualStates:
        """Return the embeddings of some sequences (axis M) at some tokens (axis S)."""
        return VisualStates(self.states[rows, columns], self.deepstack[:, rows, columns])

    def repeat(self, count: int) -> VisualStates:
        """Return each sequence's embeddings `count` times in a row, axis M becoming M * count."""
        return VisualStates(self.states.repeat_interleave(count, 0), self.deepstack.repeat_interleave(count, 1))

    def padded(self) -> VisualStates:
        """Return the embeddings with one padding token, of zeros, behind each sequence: axis S becomes S + 1."""
        return VisualStates(pad(self.states, (0, 0, 0, 1)), pad(self.deepstack, (0, 0, 0, 1)))


@dataclass(frozen=True)
class Cut:
    """Keys of B prompts that some queries cannot attend to (an attention knockout): the softmax leaves them out.

    keys [B P] bool: the hidden positions. queries [B P] bool: prompt positions that do not see them; a position always
    sees itself. response: True where response tokens do not see them either. layers: indices, among the decoder layers
    with softmax attention (from 0), of those where keys are hidden; None for all of them.
    """

    keys: Tensor
    queries: Tensor
    response: bool
    layers: frozenset[int] | None = None

    @cached_property
    def _sides(self) -> tuple[bool, bool]:
        """Tell whether anything is hidden from prompt positions, and whether from response tokens."""
        there = bool(self.keys.any())
        return there and bool(self.queries.any()), there and self.response

    def hides(self, layer: int, *, prompt: bool = False, response: bool = False) -> bool:
        """Tell whether a layer hides any key from prompt positions, or from response tokens.

        layer: index among the decoder layers with softmax attention. prompt, response: which of the two groups of
        queries to ask about; False for both gives False.
        """
        of_prompt, of_response = self._sides
        hidden = (prompt and of_prompt) or (response and of_response)
        return hidden and (self.layers is None or layer in self.layers)

    def to(self, device: torch.device | str) -> Cut:
        """Return the same cut with its masks on `device`."""
        return replace(self, keys=self.keys.to(device), queries=self.queries.to(device))

    def take(self, rows: slice | Tensor, start: int = 0) -> Cut:
        """Return the cut for the prompts `rows`, less the first `start` columns."""
        return replace(self, keys=self.keys[rows, start:], queries=self.queries[rows, start:])

    def repeat(self, count: int) -> Cut:
        """Return the cut of each prompt `count` times in a row, [B * count, P]."""
        keys, queries = (mask.repeat_interleave(count, 0) for mask in (self.keys, self.queries))
        return replace(self, keys=keys, queries=queries)


@dataclass(frozen=True)
class Prepared:
    """B prompts as the model reads them, on its device, with their visual embeddings.

    prompts: the same prompts as collated;
    token_ids, valid, visual, evidence [B P]: those of `prompts`;
    positions [3 B P] int64 (time, row, column), for the rotary embedding;
    seen: visual embeddings, states [B P D].
    cut: keys that forward passes over these prompts leave out of the attention; None where none are left out.
    """

    prompts: PromptBatch
    token_ids: Tensor
    valid: Tensor
    visual: Tensor
    evidence: Tensor
    positions: Tensor
    seen: VisualStates
    cut: Cut | None = None

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def next_position(self) -> Tensor:
        """Return the position [B] of the first token after each prompt, the same on all three axes."""
        return self.positions.masked_fill(~self.valid, -1).amax(dim=(0, 2)) + 1

    def take(self, chosen: Sequence[int]) -> Prepared:
        """Return the chosen prompts in this order, without pixels, less the padding columns that all of them share."""
        rows, start = rows_of(chosen, self.valid.device), self.prompts.start(chosen)
        columns = slice(start, None)
        return Prepared(
            prompts=self.prompts.take(chosen),
            token_ids=self.token_ids[rows, columns],
            valid=self.valid[rows, columns],
            visual=self.visual[rows, columns],
            evidence=self.evidence[rows, columns],
            positions=self.positions[:, rows, columns],
            seen=self.seen.take(rows, columns),
            cut=None if self.cut is None else self.cut.take(rows, start),
        )

    def repeat(self, count: int) -> Prepared:
        """Return each prompt `count` times in a row, [B * count, P], without pixels."""

        def each(x: Tensor, dim: int = 0) -> Tensor:
            return x.repeat_interleave(count, dim)

        return Prepared(
            prompts=self.prompts.repeat(count),
            token_ids=each(self.token_ids),
            valid=each(self.valid),
            visual=each(self.visual),
            evidence=each(self.evidence),
            positions=each(self.positions, 1),
            seen=self.seen.repeat(count),
            cut=None if self.cut is None else self.cut.repeat(count),
        )


def rows_of(chosen: Sequence[int], device: torch.device | str = "cpu") -> slice | Tensor:
    """Return an index that picks the rows `chosen`, in this order, from a tensor. chosen: at least one row number.

    The index is a slice, which makes views instead of copies, where the rows are consecutive; else an int64 tensor on
    `device`.
    """
    chosen, first = list(chosen), chosen[0]
    if chosen == list(range(first, first + len(chosen))):
        return slice(first, first + len(chosen))
    return torch.tensor(chosen, device=device)
