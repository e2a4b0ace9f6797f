"""The positions that a prompt takes and those that a network has: known before any weight is loaded.

A network that counts in three directions (time, row, column) gives a picture as many positions as its longer side has
visual tokens, not as many as there are: such prompts are shorter in positions than in tokens. A clip also reaches as
far as its time says. What counts is the position behind the highest one, where the response goes on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from ral.models.family import PatchSettings
from ral.types import Grid, Pixels

Block = tuple[int, int]
"""Positions by which a run of visual tokens moves what follows, and positions that it reaches itself."""


def most_positions(config: Any) -> int | None:
    """Return the positions of a network by its configuration, as stretched by its rope parameters; None where it has no
    bound.
    """
    text = config.get_text_config()
    most = getattr(text, "max_position_embeddings", None)
    rope = getattr(text, "rope_parameters", None) or {}
    original, factor = rope.get("original_max_position_embeddings"), rope.get("factor")
    stretched = round(original * factor) if original and factor else 0
    return max(most, stretched) if most else None


def grid_of(pixels: Pixels, settings: PatchSettings) -> Grid:
    """Return (T, H, W) of the visual tokens of one medium, without cutting its pixels into patches."""
    frames, height, width, _ = pixels.frames.shape
    if settings.tile is not None:
        side = settings.tile // settings.patch_size // settings.merge_size
        return frames, side, side
    cell = settings.patch_size * settings.merge_size
    return math.ceil(frames / settings.temporal_patch_size), height // cell, width // cell


def blocks(pixels: Pixels, grid: Grid, runs: int, settings: PatchSettings) -> Iterator[Block]:
    """Yield the runs of visual tokens of one medium: one in all, or one a temporal slot."""
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
    """Return the positions that a prompt takes: visual says which of its tokens are, found are the blocks of their
    runs.
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
