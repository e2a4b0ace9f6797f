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
        """Return the pixels that each side of a picture is a multiple of; 1 where tiles are made, of any size."""
        return 1 if self.tile else self.patch_size * self.merge_size


@dataclass(frozen=True)
class Placeholders:
    """Tokens that stand for media.

    image, video: what the chat template writes for a picture and for a clip; one token may serve for both.
    kinds: token -> IMAGE or VIDEO, of every token that `expand` leaves for visual tokens: the kind under which `encode`
        returns their embeddings and `positions` counts them. Clips that are seen as pictures are of kind IMAGE.
    """

    image: str
    video: str
    kinds: Mapping[str, int]


@dataclass(frozen=True)
class Turns:
    """Control tokens by which the chat template keeps turns apart; those of ChatML unless a family says otherwise.

    end: what a turn of the policy ends with; sampled, it ends a response. starts: what turns begin with, where that is
        tokens and not text; no text of the data may hold them. text_end: what ends a response as well, and pads; it may
        be `end` again.
    """

    end: str = "<|im_end|>"
    starts: tuple[str, ...] = ("<|im_start|>",)
    text_end: str = "<|endoftext|>"


@dataclass(frozen=True)
class PixelRules:
    """Rules by which media become tensors and text, in the processes that read ahead.

    settings: (config, preprocessor_config.json) -> how the vision tower wants its pixels.
    tensors: pixels of all media -> tensors for the vision tower, and each medium's grid of visual tokens.
    expand: a medium -> the text that stands for it in a prompt, in place of its placeholder. Every placeholder that is
        left in it stands for an equal share of the medium's visual tokens.
    """

    settings: Callable[[Any, Mapping[str, Any]], PatchSettings]
    tensors: Callable[[Sequence[Pixels], PatchSettings], tuple[dict[str, Tensor], list[Grid]]]
    expand: Callable[[Pixels, PatchSettings], str]


@dataclass(frozen=True)
class NetworkRules:
    """Rules by which the network reads tokens and tensors, on its device.

    towers: parts of `network.model` between pixels and visual embeddings.
    axes: positions of a token that the decoder reads, 3 (time, row, column) or 1.
    positions: (network.model, prompts, kinds [M S]) -> positions [3 M S], counted from each row's first valid token.
    encode: (network.model, tensors) -> {kind: visual embeddings [M D] of all its tokens in order, then those for the
        first layers (deepstack)}; {} without media.
    hands_states: whether its linear-attention layers ask Transformers' cache for the states that they begin with, and
        tell it those that they end with (`ral.models.attention.recurrent`), so that answers share a prompt.
    """

    towers: tuple[str, ...]
    axes: int
    positions: Callable[[Any, Sequences, Tensor], Tensor]
    encode: Callable[[Any, Mapping[str, Tensor]], dict[int, list[Tensor]]]
    hands_states: bool = False


@dataclass(frozen=True)
class Facts:
    """Facts with which `ral.checks.family` holds a family against Transformers.

    inputs: what its model takes beside ids, mask, pixels and grids, of `mm_token_type_ids` (kinds of tokens) and
        `second_per_grid_ts` (times of clips).
    """

    inputs: tuple[str, ...] = ("mm_token_type_ids",)


@dataclass(frozen=True)
class Family:
    """The functions and names of one family, and what they promise each other (`scripts/check_family.py` checks it).

    The chat template writes `placeholders.image` or `.video` once a medium, in the order of the media, and ends a turn
    of the policy with `turns.end`. `pixels.expand` makes of each as many runs as it leaves placeholders; together they
    hold T * H * W visual tokens, (T, H, W) being the grid that `pixels.tensors` returns for the medium. For each kind
    `network.encode` returns as many embeddings as there are tokens of that kind, in the order of the tokens. The rows
    that `network.positions` gets may be prompts or what was shown later; a text token's position is one more than the
    greatest before it. The decoder, `network.model.language_model`, calls Transformers' attention interface.

    model_type: what its config.json says. classes: Transformers' names of the processor and its picture and clip
    processors. recipe: of a random model. facts: for checks.
    """

    model_type: str
    placeholders: Placeholders
    pixels: PixelRules
    network: NetworkRules
    classes: tuple[str, str, str]
    recipe: Recipe
    turns: Turns = Turns()
    facts: Facts = Facts()
