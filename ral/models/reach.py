"""Numbers of positions: those that a prompt takes, and those that a network has. No weight is needed.

Under mRoPE (time, row, column) an image takes as many positions as its longer side has visual tokens, so that prompts
are shorter in positions than in tokens. A video takes as many as its time axis reaches, if that is more. A prompt takes
all positions up to the highest of its tokens; the response continues after it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from ral.models.family import PatchSettings
from ral.types import Grid, Pixels

Block = tuple[int, int]
"""Positions of a run of visual tokens: (steps from its first position to the text after it, positions it covers)."""


def most_positions(config: Any) -> int | None:
    """Return a network's number of positions by config.json, as extended by its rope parameters; None if unbounded.

    config: Transformers' configuration of the network.
    """
    text = config.get_text_config()
    most = getattr(text, "max_position_embeddings", None)
    rope = getattr(text, "rope_parameters", None) or {}
    original, factor = rope.get("original_max_position_embeddings"), rope.get("factor")
    stretched = round(original * factor) if original and factor else 0
    return max(most, stretched) if most else None


def grid_of(pixels: Pixels, settings: PatchSettings) -> Grid:
    """Return the grid (T, H, W) of visual tokens of an image or video: time slots, rows, columns."""
    frames, height, width, _ = pixels.frames.shape
    if settings.tile is not None:
        side = settings.tile // settings.patch_size // settings.merge_size
        return frames, side, side
    cell = settings.patch_size * settings.merge_size
    return math.ceil(frames / settings.temporal_patch_size), height // cell, width // cell


def blocks(pixels: Pixels, grid: Grid, runs: int, settings: PatchSettings) -> Iterator[Block]:
    """Yield the Block of each run of visual tokens of an image or video.

    grid: (T, H, W) of its visual tokens. runs: number of runs, 1 or one for each time slot.
    """
    slots, height, width = grid
    side = max(height, width)
    if runs > 1:
        yield from [(side, side)] * runs
        return
    pace = 1.0
    if pixels.kind == "video" and settings.positions_per_second is not None:
        pace = settings.positions_per_second * pixels.seconds_per_frame * settings.temporal_patch_size
    yield side, max(side, int((slots - 1) * pace) + 1)


def reach(visual: Sequence[bool], found: Sequence[Block]) -> int:
    """Return the number of positions that a prompt takes.

    visual: for each of its tokens, whether it is a visual one. found: the Block of each run of visual tokens, in order.
    """
    rest, at, highest = iter(found), 0, 0
    for is_visual, run in groupby(visual):
        if is_visual:
            moves, reaches = next(rest)
            highest = max(highest, at + reaches)
            at += moves
        else:
            at += sum(1 for _ in run)
        highest = max(highest, at)
    return highest
