"""Boards of `visual_path`: cells that name other cells, and the route from cell to cell that follows from them.

A sign is the content of a cell; a slot is a time in which a board does not change. Everything here is plain values:
nothing is drawn at random, rendered or put into words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ral.worlds.scene import DIRECTIONS

Place = tuple[int, int]
"""(row, column) of a cell, from 0."""
Kind = Literal["arrows", "digits", "looks", "handed"]
KINDS: tuple[Kind, ...] = ("arrows", "digits", "looks", "handed")
DIRECTED = ("arrows", "handed")  # kinds whose cells hold a direction; those of the others name a place
Signs = Mapping[Place, str]
"""{cell: its sign}: a direction, "row column" from 1, or a look such as "red star"."""


@dataclass(frozen=True)
class Board:
    """A board of grid x grid cells with signs.

    slots: for an image one mapping from cells to signs; for a video one for each slot of two frames, on the same cells.
    looks: {cell with a sign: its name, such as "red star"} on boards of kind "looks"; empty on others. background: RGB,
    0 to 255. color: name of the colour in which signs are drawn.
    """

    kind: Kind
    grid: int
    slots: tuple[Signs, ...]
    looks: Mapping[Place, str]
    background: tuple[int, int, int]
    color: str


@dataclass(frozen=True)
class Read:
    """One step of a route: in slot `slot`, `sign` is read on cell `seen` and leads from cell `at` to cell `to`."""

    at: Place
    seen: Place
    slot: int
    sign: str
    to: Place


def name_of(board: Board, place: Place) -> str:
    """Return the name of a cell: its look, or its row and column from 1."""
    return board.looks[place] if board.looks else f"{place[0] + 1} {place[1] + 1}"


def led_to(board: Board, at: Place, sign: str) -> Place | None:
    """Return the cell that a sign leads to when it is read from the cell `at`.

    None for a direction out of the grid, and for a look that no cell has. Whether a row and column lie in the grid is
    not checked.
    """
    if sign in DIRECTIONS:
        rows, cols = DIRECTIONS[sign]
        place = (at[0] + rows, at[1] + cols)
        return place if all(0 <= x < board.grid for x in place) else None
    if board.looks:
        return next((place for place, look in board.looks.items() if look == sign), None)
    row, col = sign.split()
    return (int(row) - 1, int(col) - 1)


def neighbour_of(place: Place, grid: int) -> Place:
    """Return the cell to the right of `place`; in the last column, the cell to its left."""
    row, col = place
    return (row, col + 1 if col + 1 < grid else col - 1)


def slot_of(board: Board, step: int) -> int:
    """Return the slot in which step number `step` (from 0) reads its sign; 0 for an image.

    In a video each step has a slot of its own; steps after the last slot read there.
    """
    return min(step, len(board.slots) - 1)


def read(board: Board, at: Place, step: int, seen: Place) -> Read | None:
    """Return step number `step` (from 0), which reads the sign on `seen` and goes from `at` to the named cell.

    None where `seen` is empty, or its sign leads to no other cell with a sign.
    """
    slot = slot_of(board, step)
    sign = board.slots[slot].get(seen)
    to = None if sign is None else led_to(board, at, sign)
    leads = sign is not None and to is not None and to != at and to in board.slots[slot]
    return Read(at, seen, slot, sign, to) if leads else None  # type: ignore[arg-type]


def follow(board: Board, start: Place, length: int, misread: tuple[bool, ...] = ()) -> tuple[Read, ...]:
    """Return the route of `length` steps from `start`. ValueError where a step leads nowhere.

    misread: for each step, True to read the sign of `neighbour_of` in place of the cell's own; () for none. A step
    whose neighbour is empty, or has a sign that leads to no other cell with a sign, is read right.
    """
    route: list[Read] = []
    at = start
    for step in range(length):
        wrong = read(board, at, step, neighbour_of(at, board.grid)) if any(misread[step : step + 1]) else None
        found = wrong or read(board, at, step, at)
        if found is None:
            raise ValueError(f"step {step + 1} from {start} leads nowhere on {board}")
        route.append(found)
        at = found.to
    return tuple(route)
