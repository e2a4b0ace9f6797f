"""Families of multimodal networks and how they differ: one `Family` each, a file a family in `ral.models.families`.

Pixels, prompt tokens, positions and visual embeddings are those of Transformers 5.23's own processors and models (tests
compare them).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ral.models.recipe import Recipe
from ral.types import Grid, Pixels, Sequences

IMAGE, VIDEO = 1, 2
"""Kinds of visual tokens; 0 is text (Transformers' mm_token_type_ids)."""


@dataclass(frozen=True)
class PatchSettings:
    """Settings by which pixels become what a vision tower reads. tile: side of the square of every picture, or None.

    positions_per_second: of a clip, where positions say its time; None where they count its slots.
    """

    patch_size: int = 14
    merge_size: int = 2
    temporal_patch_size: int = 2
    mean: tuple[float, ...] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, ...] = (0.26862954, 0.26130258, 0.27577711)
    tile: int | None = None
    positions_per_second: float | None = field(default=None, compare=False)  # says nothing of the pixels

    @property
    def factor(self) -> int:
        """Sides of a picture are multiples of this many pixels; tiles are made from a picture of any size."""
        return 1 if self.tile else self.patch_size * self.merge_size


@dataclass(frozen=True)
class Facts:
    """Facts with which tests hold a family against Transformers.

    inputs: what its model takes beside ids, mask, pixels and grids.
    """

    inputs: tuple[str, ...] = ("mm_token_type_ids",)


@dataclass(frozen=True)
class Family:
    """The functions and names of one family.

    model_type: what its config.json says.
    image_token, video_token: what the chat template writes for a picture and a clip. After `expand` every one that is
        left stands for an equal share of its medium's visual tokens.
    towers: parts of `network.model` between pixels and visual embeddings.
    axes: positions of a token that the decoder reads, 3 (time, row, column) or 1.
    classes: Transformers' names of the processor and its picture and clip processors.
    settings: (config, preprocessor_config.json) -> how the vision tower wants its pixels.
    media: pixels of all media -> tensors for the vision tower, and each medium's grid of visual tokens.
    expand: a medium -> the text that stands for it in a prompt.
    positions: (network.model, prompts, kinds [B P]) -> positions [3 M S].
    encode: (network.model, media) -> {kind: visual embeddings [M D] of all its tokens in order, then those for the
        first layers (deepstack)}.
    recipe: of a random model. facts: for tests.
    """

    model_type: str
    image_token: str
    video_token: str
    towers: tuple[str, ...]
    axes: int
    classes: tuple[str, str, str]
    settings: Callable[[Any, Mapping[str, Any]], PatchSettings]
    media: Callable[[Sequence[Pixels], PatchSettings], tuple[dict[str, Tensor], list[Grid]]]
    expand: Callable[[Pixels, PatchSettings], str]
    positions: Callable[[Any, Sequences, Tensor], Tensor]
    encode: Callable[[Any, Mapping[str, Tensor]], dict[int, list[Tensor]]]
    recipe: Recipe
    facts: Facts = Facts()
