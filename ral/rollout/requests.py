"""Prompts as an engine in another process takes them: ids with one placeholder a medium, and what is seen at each.

Pixels are not among them: the vision tower has run by then, its embeddings are those that training reads, and a prompt
that continues a trajectory has them of everything it was shown. An engine that wants pixels all the same finds those of
shown segments in `Segment.media` for as long as the environment keeps the trajectory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ral.types import Grid, MediaKind, Prepared, VisualStates


@dataclass(frozen=True)
class SeenMedium:
    """The T * H * W visual tokens of one picture or clip, grid (T, H, W), in their order.

    states [THW D]: embeddings; deepstack [J THW D]: what the first J decoder layers add. Views of the prompts' tensors.
    """

    kind: MediaKind
    grid: Grid
    states: Tensor
    deepstack: Tensor


@dataclass(frozen=True)
class Request:
    """One prompt, or a prompt with its trajectory so far. token_ids: one placeholder for each of `media`, in order."""

    token_ids: tuple[int, ...]
    media: tuple[SeenMedium, ...]


def requests(prompts: Prepared) -> list[Request]:
    """Return each of the B prompts as a request."""
    collated = prompts.prompts
    rows = zip(collated.wordings, collated.grids, prompts.visual, strict=True)
    return [
        Request(wording.token_ids, seen_media(wording.kinds, grids, prompts.seen.take([n], slice(None)), visual))
        for n, (wording, grids, visual) in enumerate(rows)
    ]


def seen_media(
    kinds: Sequence[MediaKind], grids: Sequence[Grid], seen: VisualStates, visual: Tensor
) -> tuple[SeenMedium, ...]:
    """Cut what is seen in one prompt, [1 P D], by its media; visual [P]: the places of visual tokens."""
    sizes = [math.prod(grid) for grid in grids]
    states, deepstack = seen.states[0, visual].split(sizes), seen.deepstack[:, 0, visual].split(sizes, dim=1)
    return tuple(SeenMedium(*parts) for parts in zip(kinds, grids, states, deepstack, strict=True))
