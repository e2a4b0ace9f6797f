"""Prompts for an engine in another process: ids with one placeholder for each image or video, and visual embeddings.

Requests hold no pixels: the vision tower has run already, training reads the same embeddings, and a prompt that
continues a trajectory has those of all images and videos in it. An engine that needs pixels finds those of later turns
in `Segment.media`, as long as the environment keeps the trajectory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ral.types import Grid, MediaKind, Prepared, VisualStates


@dataclass(frozen=True)
class SeenMedium:
    """The T * H * W visual tokens of one image or video, in their order. kind: "image" or "video".

    grid: (T, H, W), the numbers of time slots, rows and columns. states [THW D]: embeddings; deepstack [J THW D]:
    features that the first J decoder layers add. Both are views of the prompts' tensors.
    """

    kind: MediaKind
    grid: Grid
    states: Tensor
    deepstack: Tensor


@dataclass(frozen=True)
class Request:
    """One prompt, or a prompt with its trajectory so far.

    token_ids: its tokens, with one placeholder for each image or video. media: these images and videos, in order.
    """

    token_ids: tuple[int, ...]
    media: tuple[SeenMedium, ...]


def requests(prompts: Prepared) -> list[Request]:
    """Return the B prompts as requests, in their order."""
    collated = prompts.prompts
    rows = zip(collated.wordings, collated.grids, prompts.visual, strict=True)
    return [
        Request(wording.token_ids, seen_media(wording.kinds, grids, prompts.seen.take([n], slice(None)), visual))
        for n, (wording, grids, visual) in enumerate(rows)
    ]


def seen_media(
    kinds: Sequence[MediaKind], grids: Sequence[Grid], seen: VisualStates, visual: Tensor
) -> tuple[SeenMedium, ...]:
    """Split the visual embeddings of one prompt, `seen` [1 P D], into those of each image and video.

    kinds, grids: one for each image or video; visual [P]: mask of visual tokens.
    """
    sizes = [math.prod(grid) for grid in grids]
    states, deepstack = seen.states[0, visual].split(sizes), seen.deepstack[:, 0, visual].split(sizes, dim=1)
    return tuple(SeenMedium(*parts) for parts in zip(kinds, grids, states, deepstack, strict=True))
