"""Prompts in their two stages: as collated (PromptBatch, with pixels), and as a network reads them (Prepared)."""

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
"""(T, H, W) of the visual tokens of one medium."""


class Sequences(Protocol):
    """Padded rows of tokens with their media: token_ids, valid [M S]; media: keyword tensors of the vision tower."""

    @property
    def token_ids(self) -> Tensor: ...

    @property
    def valid(self) -> Tensor: ...

    @property
    def media(self) -> dict[str, Tensor]: ...


@dataclass(frozen=True)
class Wording:
    """One prompt in words.

    text: as the chat template writes it, one placeholder a medium. token_ids: of that text, for an engine that lays out
    visual tokens itself (ral.rollout.requests). kinds: of its media, in the order of their placeholders. target: the
    response to learn, for supervised fine-tuning; else None.
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
               after another in the order of the placeholders; {} when no prompt has media. Of the clips in their order
               also second_per_grid_ts (seconds of a temporal slot) and frame_counts (frames sampled)
    examples   the B examples;  wordings: these in words
    grids      per prompt, per medium: (T, H, W) of visual tokens after merging
    evidence   [B P] bool, True on visual tokens inside the evidence of the first medium
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
        """Return the rendered prompts."""
        return tuple(wording.text for wording in self.wordings)

    @property
    def targets(self) -> tuple[str, ...]:
        """Return the responses to learn; () where there are none."""
        return tuple(wording.target for wording in self.wordings if wording.target is not None)

    def to(self, device: torch.device | str) -> PromptBatch:
        """Return the same batch with every tensor on `device`."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Any] = {name: v.to(device) for name, v in values.items() if isinstance(v, Tensor)}
        return replace(self, media={k: v.to(device) for k, v in self.media.items()}, **moved)

    def start(self, chosen: Sequence[int]) -> int:
        """Return the column in which the longest of the chosen prompts begins."""
        return int(self.valid[rows_of(chosen)].int().argmax(1).min())

    def take(self, chosen: Sequence[int]) -> PromptBatch:
        """Return the chosen prompts in this order, without their pixels and without shared padding."""
        return self._pick(chosen, self.start(chosen))

    def repeat(self, count: int) -> PromptBatch:
        """Return each prompt `count` times, one after another, without pixels."""
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
    """Visual embeddings of M rows at their places, zero where no visual token is.

    states [M S D]: in place of the embeddings of tokens; deepstack [J M S D]: what is added to the states after each of
    the first J decoder layers; J is 0 for most families.
    """

    states: Tensor
    deepstack: Tensor

    def take(self, rows: slice | Tensor | Sequence[int], columns: slice) -> VisualStates:
        """Return some rows and columns."""
        return VisualStates(self.states[rows, columns], self.deepstack[:, rows, columns])

    def repeat(self, count: int) -> VisualStates:
        """Return each row `count` times, one after another."""
        return VisualStates(self.states.repeat_interleave(count, 0), self.deepstack.repeat_interleave(count, 1))

    def padded(self) -> VisualStates:
        """Return the same with one more column, of padding."""
        return VisualStates(pad(self.states, (0, 0, 0, 1)), pad(self.deepstack, (0, 0, 0, 1)))


@dataclass(frozen=True)
class Cut:
    """Keys of B prompts that some queries do not see: they are left out of the softmax, as if masked (a knockout).

    keys [B P] bool: these positions; queries [B P] bool: prompt positions that do not see them (a position always sees
    itself); response: whether response tokens do not see them. layers: decoder layers where that holds; None for all.
    """

    keys: Tensor
    queries: Tensor
    response: bool
    layers: frozenset[int] | None = None

    @cached_property
    def _sides(self) -> tuple[bool, bool]:
        """Tell whether anything is hidden from prompt positions, and from response tokens."""
        there = bool(self.keys.any())
        return there and bool(self.queries.any()), there and self.response

    def hides(self, layer: int, *, prompt: bool = False, response: bool = False) -> bool:
        """Tell whether, in a layer, anything is hidden from queries of the named sides."""
        of_prompt, of_response = self._sides
        hidden = (prompt and of_prompt) or (response and of_response)
        return hidden and (self.layers is None or layer in self.layers)

    def to(self, device: torch.device | str) -> Cut:
        """Return the same cut on `device`."""
        return replace(self, keys=self.keys.to(device), queries=self.queries.to(device))

    def take(self, rows: slice | Tensor, start: int = 0) -> Cut:
        """Return the cut of some prompts, from column `start` on."""
        return replace(self, keys=self.keys[rows, start:], queries=self.queries[rows, start:])

    def repeat(self, count: int) -> Cut:
        """Return the cut of each prompt `count` times, one after another."""
        keys, queries = (mask.repeat_interleave(count, 0) for mask in (self.keys, self.queries))
        return replace(self, keys=keys, queries=queries)


@dataclass(frozen=True)
class Prepared:
    """B prompts as a network reads them, on its device. prompts: the same as collated.

    token_ids, valid, visual, evidence [B P]: those of `prompts`;
    positions [3 B P] int64 (time, row, column);
    seen: visual embeddings [B P D].
    cut: what passes over these prompts leave out of the attention; None for nothing.
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
        """Return the position [B] of the first token after each prompt, alike on all axes."""
        return self.positions.masked_fill(~self.valid, -1).amax(dim=(0, 2)) + 1

    def take(self, chosen: Sequence[int]) -> Prepared:
        """Return the chosen prompts in this order, without their pixels and without shared padding."""
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
        """Return each prompt `count` times, one after another."""

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
    """Return an index of the chosen rows: a slice, which makes views instead of copies, where they stand in a run."""
    chosen, first = list(chosen), chosen[0]
    if chosen == list(range(first, first + len(chosen))):
        return slice(first, first + len(chosen))
    return torch.tensor(chosen, device=device)
