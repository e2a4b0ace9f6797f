"""Cells that a response to a `visual_path` question says it reads, found in its own words."""

from __future__ import annotations

import re

from ral.types import Box, Example, UserError
from ral.worlds.scene import DIRECTIONS
from ral.worlds.visual_path.board import Place

SAID = re.compile(rf"(\d+) (\d+) ({'|'.join(DIRECTIONS)})\b")
"""Pattern of a step on boards whose cells hold a direction: row, column, and the direction read there."""

Named = tuple[int, int, Box]
"""(first, end, box): first character of a word, the character after its last, and the box where the word is to be read.
"""


def named_cells(example: Example, text: str, *, wrong: bool = False) -> list[Named]:
    """Return each direction word of a response, with the box of the cell that the response names just before it.

    text: the response; its own words count, right or wrong. A direction after a cell outside the grid is left out; on
    boards without directions the result is []. wrong: whether to return, in place of each box, that of another cell,
    half the grid further in rows and in columns. UserError for an example without steps, whose boxes give the size of a
    cell.
    """
    if not example.steps:
        where = example.source or example.uid
        raise UserError(f"{where}: no field 'steps', so that cells have no size; take data of dataset=visual_path")
    left, _, right, _ = example.steps[0].boxes[0]
    grid = round(1 / (right - left))
    shift = grid // 2 if wrong else 0
    found = ((int(m[1]) - 1, int(m[2]) - 1, m.span(3)) for m in SAID.finditer(text))
    inside = (((row, col), span) for row, col, span in found if 0 <= row < grid and 0 <= col < grid)
    return [(*span, box_of(shifted(place, shift, grid), grid)) for place, span in inside]


def shifted(place: Place, by: int, grid: int) -> Place:
    """Return the cell `by` rows further down and `by` columns further right; behind an edge the grid begins again."""
    return ((place[0] + by) % grid, (place[1] + by) % grid)


def box_of(place: Place, grid: int) -> Box:
    """Return the box of a cell, in fractions of the image."""
    row, col = place
    return (col / grid, row / grid, (col + 1) / grid, (row + 1) / grid)
