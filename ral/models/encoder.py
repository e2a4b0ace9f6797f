"""The reading of prompts by a network: positions of tokens, and visual embeddings of pictures and clips.

The same function makes positions for rollouts and for training; the vision tower runs once per prompt and step.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import PreTrainedModel

from ral.models.family import IMAGE, VIDEO
from ral.models.masters import arithmetic
from ral.models.processor import Processor
from ral.types import Pixels, Prepared, PromptBatch, Rollout, Sequences, Shown

M = TypeVar("M", bound="MediaEncoder")
P = ParamSpec("P")
R = TypeVar("R")


def in_own_arithmetic(method: Callable[Concatenate[M, P], R]) -> Callable[Concatenate[M, P], R]:
    """Run a pass under its model's arithmetic."""

    @functools.wraps(method)
    def run(self: M, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.arithmetic():
            return method(self, *args, **kwargs)

    return run


class Rows(NamedTuple):
    """Padded rows of tokens with their media, on the device (ral.types.Sequences)."""

    token_ids: Tensor
    valid: Tensor
    media: dict[str, Tensor]


class MediaEncoder(nn.Module):
    """A Hugging Face network with its processor, up to what its decoder takes in.

    dtype: of frozen weights and of the arithmetic; trained weights are fp32.
    """

    def __init__(self, network: PreTrainedModel, processor: Processor, dtype: torch.dtype) -> None:
        super().__init__()
        self.network, self.processor, self.dtype = network, processor, dtype

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def arithmetic(self) -> AbstractContextManager[object]:
        """Return what passes run under: products in `dtype`, sums in fp32."""
        return arithmetic(self.device, self.dtype)

    def sees_like(self, other: MediaEncoder) -> bool:
        """Check that both have the very same vision tower, so that one's visual embeddings serve the other."""
        ours, theirs = ([p for tower in m._towers() for p in tower.parameters()] for m in (self, other))
        return len(ours) == len(theirs) and all(p is q for p, q in zip(ours, theirs, strict=True))

    def _towers(self) -> list[nn.Module]:
        """The parts of the network between pixels and visual embeddings."""
        return [getattr(self.network.model, name) for name in self.processor.family.towers]

    @property
    def trains_vision(self) -> bool:
        """Tell if the vision tower gets gradients; its embeddings then hold for a single update."""
        return any(p.requires_grad for tower in self._towers() for p in tower.parameters())

    @in_own_arithmetic
    def prepare(self, prompts: PromptBatch) -> Prepared:
        """Move prompts to the device, make their positions, run the vision tower: once per prompt and step.

        Pixels stay where they were, in `prompts`, for whoever looks with other eyes.
        """
        here = prompts.to(self.device)
        positions = self._positions(here)
        following = positions.masked_fill(~here.valid, -1).amax(dim=(0, 2)) + 1
        vision, deepstack = self._see(here)
        return Prepared(
            prompts=prompts,
            token_ids=here.token_ids,
            valid=here.valid,
            visual=here.visual,
            evidence=here.evidence,
            positions=positions,
            next_position=following,
            vision=vision,
            deepstack=deepstack,
        )

    @in_own_arithmetic
    def show(self, prepared: Prepared, rollout: Rollout) -> Shown | None:
        """Read what continuations hold beside sampled text: their positions and media, once per rollout and network.

        None where every trajectory is one sampled answer: it needs no more than its tokens.
        """
        if rollout.visual is None:
            return None
        lengths, count = rollout.valid.sum(1), rollout.valid.shape[1]
        ids = rollout.token_ids.masked_fill(~rollout.valid, self.processor.pad_id)
        media = {name: value.to(self.device) for name, value in rollout.media.items()}
        ids = pad(ids, (0, 1), value=self.processor.pad_id)  # a word after the last token says where text goes on
        counted = torch.arange(count + 1, device=ids.device) <= lengths[:, None]
        start = prepared.next_position.repeat_interleave(rollout.group_size)
        positions = self._positions(Rows(ids, counted, media)) + start[:, None]
        vision, deepstack = self._see(Rows(ids[:, :-1], rollout.valid, media))
        return Shown(
            trainable=rollout.trainable,
            visual=rollout.visual,
            positions=positions[..., :-1],
            next_position=positions[0].gather(1, lengths[:, None]).squeeze(1),
            vision=vision,
            deepstack=deepstack,
        )

    def _kinds(self, rows: Sequences) -> Tensor:
        """Kind of each token [M S]: text 0, IMAGE or VIDEO."""
        ids, processor = rows.token_ids, self.processor
        return (ids == processor.image_id) * IMAGE + (ids == processor.video_id) * VIDEO

    def _positions(self, rows: Sequences) -> Tensor:
        """Positions [3 M S] (time, row, column) of rows that begin at 0."""
        return self.processor.family.positions(self.network.model, rows, self._kinds(rows))

    def _see(self, rows: Sequences) -> tuple[Tensor, Tensor]:
        """Visual embeddings at their places [M S D], and those for the first J decoder layers [J M S D]."""
        weight, kinds = self.network.get_input_embeddings().weight, self._kinds(rows)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.trains_vision):
            seen = self.processor.family.encode(self.network.model, rows.media)
            depth = max((len(parts) for parts in seen.values()), default=1)
            out = torch.zeros(depth, *kinds.shape, weight.shape[1], device=weight.device)  # fp32, as states are
            for kind, parts in seen.items():
                out[:, (kinds == kind) & rows.valid] = torch.stack(parts).to(out.dtype)
            if torch.is_grad_enabled() and not seen:
                out = out + 0 * self._see_nothing()
        return out[0], out[1:]

    def _see_nothing(self) -> Tensor:
        """A number that depends on every weight of the vision tower.

        A batch without media adds 0 times this, so that its backward pass has the gradients, and under FSDP2 the
        collectives, of one with media: ranks may differ.
        """
        patches, family = self.processor.patches, self.processor.family
        black = Pixels("image", torch.zeros(1, patches.factor, patches.factor, 3, dtype=torch.uint8))
        media = {name: value.to(self.device) for name, value in family.media([black], patches)[0].items()}
        seen = family.encode(self.network.model, media)
        return torch.stack([part.float().mean() for parts in seen.values() for part in parts]).sum()
