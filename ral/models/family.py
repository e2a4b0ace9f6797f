"""Families of multimodal networks: what differs between them, as one `Family` each, in `ral.models.families`.

Pixels, prompt tokens, positions and visual embeddings equal those of Transformers 5.23's own processors and models
(tests compare them).
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
    """Settings by which pixels become the input of a vision tower.

    patch_size: side of a patch in pixels. merge_size: side, in patches, of the square that becomes one visual token.
    temporal_patch_size: frames in a time slot. mean, std: mean and standard deviation of red, green and blue, of pixels
    in [0, 1]. tile: side, in pixels, of the square to which every image and frame is resized; None where they keep
    their shape.
    positions_per_second: positions that a second of video takes; None where positions count time slots.
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
        """Return the number of pixels that has to divide each side of an image; 1 for towers that take tiles."""
        return 1 if self.tile else self.patch_size * self.merge_size


@dataclass(frozen=True)
class Placeholders:
    """Placeholders: tokens that stand for media.

    image, video: tokens that the chat template writes for an image and for a video; they may be the same.
    kinds: token -> IMAGE or VIDEO, for every token that `PixelRules.expand` leaves as a placeholder of visual tokens:
        the kind under which `NetworkRules.encode` returns their embeddings and `positions` counts them. Videos that the
        network reads as images are of kind IMAGE.
    """

    image: str
    video: str
    kinds: Mapping[str, int]


@dataclass(frozen=True)
class Turns:
    """Control tokens by which the chat template separates turns; by default those of ChatML.

    end: token that ends an assistant turn; a response ends where it is sampled. starts: tokens with which turns begin,
        () where they begin with plain text; no text of the data may hold them. text_end: token that pads, and that
        ends a response as well; it may equal `end`.
    """

    end: str = "<|im_end|>"
    starts: tuple[str, ...] = ("<|im_start|>",)
    text_end: str = "<|endoftext|>"


@dataclass(frozen=True)
class PixelRules:
    """Rules by which images and videos become tensors and text, in the worker processes of the data loader.

    settings: (config.json, preprocessor_config.json) -> PatchSettings.
    tensors: (pixels of all media, settings) -> tensors for the vision tower by name, and the grid (T, H, W) of visual
        tokens of each image or video.
    expand: (pixels of an image or video, settings) -> text that replaces its placeholder in the prompt. Each of the
        placeholders in this text stands for an equal share of its visual tokens.
    """

    settings: Callable[[Any, Mapping[str, Any]], PatchSettings]
    tensors: Callable[[Sequence[Pixels], PatchSettings], tuple[dict[str, Tensor], list[Grid]]]
    expand: Callable[[Pixels, PatchSettings], str]


@dataclass(frozen=True)
class NetworkRules:
    """Rules by which the network reads tokens and tensors, on its device.

    towers: names of the parts of `network.model` between pixels and visual embeddings.
    axes: number of position axes that the decoder reads, 3 (time, row, column) or 1.
    positions: (network.model, M token sequences, kinds [M S]) -> positions [3 M S], from 0 at the first valid token.
    encode: (network.model, tensors) -> {kind: [visual embeddings [M D] of all its tokens in order, then deepstack
        features [M D] of each first decoder layer that has them]}; {} without media.
    hands_states: whether linear-attention layers read their initial states from Transformers' cache and write their
        final ones to it (`ral.models.attention.recurrent`), so that responses can share a prompt.
    """

    towers: tuple[str, ...]
    axes: int
    positions: Callable[[Any, Sequences, Tensor], Tensor]
    encode: Callable[[Any, Mapping[str, Tensor]], dict[int, list[Tensor]]]
    hands_states: bool = False


@dataclass(frozen=True)
class Facts:
    """Facts by which `ral.checks.family` compares a family with Transformers.

    inputs: those of `mm_token_type_ids` (kinds of tokens) and `second_per_grid_ts` (times of videos) that its model
        takes beside ids, mask, pixels and grids.
    """

    inputs: tuple[str, ...] = ("mm_token_type_ids",)


@dataclass(frozen=True)
class Family:
    """One family: its names and functions, which keep the contract below (`scripts/check_family.py` checks it).

    The chat template writes `placeholders.image` or `.video` once for each image or video, in their order, and ends an
    assistant turn with `turns.end`. `pixels.expand` replaces this placeholder by one or more, each of which becomes a
    run of visual tokens; the runs of an image or video hold T * H * W tokens, (T, H, W) being its grid from
    `pixels.tensors`. For each kind `network.encode` returns as many embeddings as there are tokens of that kind, in
    their order. `network.positions` gets prompts, or responses with media of their own; a text token's position is one
    more than the greatest before it. The decoder, `network.model.language_model`, calls Transformers' attention
    interface.

    model_type: that of config.json. classes: Transformers' names of the processor, the image processor and the video
    processor. recipe: how a small random model of the family is written. facts: read by the family's checks.
    """

    model_type: str
    placeholders: Placeholders
    pixels: PixelRules
    network: NetworkRules
    classes: tuple[str, str, str]
    recipe: Recipe
    turns: Turns = Turns()
    facts: Facts = Facts()
