"""Boards of `visual_path`: cells that name other cells, and the route from cell to cell that follows from them.

Everything here is plain values; nothing is drawn from a random generator, rendered or worded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ral.worlds.scene import DIRECTIONS

Place = tuple[int, int]
"""Row and column of a cell, from 0."""
Kind = Literal["arrows", "digits", "looks", "handed"]
KINDS: tuple[Kind, ...] = ("arrows", "digits", "looks", "handed")
DIRECTED = ("arrows", "handed")  # kinds whose cells hold a direction; those of the others name a place
Signs = Mapping[Place, str]
"""Cell -> what it holds: a direction, "row column" from 1, or a look such as "red star"."""


@dataclass(frozen=True)
class Board:
    """grid x grid cells. slots: the signs of a picture, or those of each slot of a clip, on the same cells.

    looks: by what each cell is known, such as "red star", where places are named so; empty for all other kinds.
    background, color: of the drawing.
    """

    kind: Kind
    grid: int
    slots: tuple[Signs, ...]
    looks: Mapping[Place, str]
    background: tuple[int, int, int]
    color: str


@dataclass(frozen=True)
class Read:
    """One step of a route: in `slot` the sign on the cell `seen` is read and leads from the cell `at` to `to`."""

    at: Place
    seen: Place
    slot: int
    sign: str
    to: Place


def name_of(board: Board, place: Place) -> str:
    """Return the name of a cell: its look, or row and column from 1."""
    return board.looks[place] if board.looks else f"{place[0] + 1} {place[1] + 1}"


def led_to(board: Board, at: Place, sign: str) -> Place | None:
    """Return the cell that a sign, read by one who stands on `at`, leads to; None for one outside the grid."""
    if sign in DIRECTIONS:
        rows, cols = DIRECTIONS[sign]
        place = (at[0] + rows, at[1] + cols)
        return place if all(0 <= x < board.grid for x in place) else None
    if board.looks:
        return next((place for place, look in board.looks.items() if look == sign), None)
    row, col = sign.split()
    return (int(row) - 1, int(col) - 1)


def neighbour_of(place: Place, grid: int) -> Place:
    """Return the cell to the right; in the last column the one to the left."""
    row, col = place
    return (row, col + 1 if col + 1 < grid else col - 1)


def slot_of(board: Board, step: int) -> int:
    """Return the slot in which step number `step` (from 0) looks: its own in a clip."""
    return min(step, len(board.slots) - 1)


def read(board: Board, at: Place, step: int, seen: Place) -> Read | None:
    """Read the sign on `seen` while standing on `at`; None where it is empty or leads to no other sign."""
    slot = slot_of(board, step)
    sign = board.slots[slot].get(seen)
    to = None if sign is None else led_to(board, at, sign)
    leads = sign is not None and to is not None and to != at and to in board.slots[slot]
    return Read(at, seen, slot, sign, to) if leads else None  # type: ignore[arg-type]


def follow(board: Board, start: Place, length: int, misread: tuple[bool, ...] = ()) -> tuple[Read, ...]:
    """Return the route of `length` steps from `start`.

    misread: which steps read the neighbour's sign in place of their own.

    A step whose neighbour is empty, or whose sign there leads to no cell that holds something, is read right.
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
