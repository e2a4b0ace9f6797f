"""Random boards of `visual_path`, each with a route on it, drawn by a `random.Random`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random

from ral.worlds.scene import COLORS, DIRECTIONS, SHAPES, background_of
from ral.worlds.visual_path.board import DIRECTED, Board, Kind, Place

LOOKS = tuple(f"{color} {shape}" for color in COLORS for shape in SHAPES)
WALKS = 1000  # tries at a route that does not cross itself


def cells(grid: int) -> list[Place]:
    """Return (row, column) of all grid * grid cells, row by row."""
    return [divmod(n, grid) for n in range(grid * grid)]


def ways(place: Place, grid: int) -> dict[Place, str]:
    """Return {neighbouring cell within the grid: direction that leads there}, for the cell `place`."""
    row, col = place
    found = {(row + rows, col + cols): name for name, (rows, cols) in DIRECTIONS.items()}
    return {(r, c): name for (r, c), name in found.items() if 0 <= r < grid and 0 <= c < grid}


def walk(rng: Random, grid: int, length: int) -> list[Place]:
    """Return the length + 1 cells of a route that goes from neighbour to neighbour and visits no cell twice.

    ValueError where WALKS tries find no such route.
    """
    for _ in range(WALKS):
        route = [rng.choice(cells(grid))]
        while len(route) <= length:
            free = [place for place in ways(route[-1], grid) if place not in route]
            if not free:
                break
            route.append(rng.choice(free))
        if len(route) > length:
            return route
    raise ValueError(f"no route of {length} steps found on {grid} x {grid} cells")


def route_of(rng: Random, kind: Kind, grid: int, length: int) -> list[Place]:
    """Return the length + 1 different cells of a route: neighbours in a row, where signs are directions."""
    return walk(rng, grid, length) if kind in DIRECTED else rng.sample(cells(grid), length + 1)


def taken_of(rng: Random, grid: int, route: Sequence[Place], distractors: float) -> list[Place]:
    """Return the cells that hold a sign, row by row: all on the route, and the share `distractors` of the others."""
    others = [place for place in cells(grid) if place not in route]
    return sorted([*route, *rng.sample(others, round(distractors * len(others)))])


def draw_board(rng: Random, kind: Kind, grid: int, length: int, distractors: float) -> tuple[Board, Place]:
    """Return a board with a route of `length` steps, and the cell where the route starts.

    Signs outside the route also lead to cells that hold a sign, where there are any. A video has one slot for each
    step. distractors: share of the cells outside the route that hold a sign, in [0, 1].
    """
    route = route_of(rng, kind, grid, length)
    taken = taken_of(rng, grid, route, distractors)
    drawn = rng.sample(LOOKS, len(taken)) if kind == "looks" else []
    looks = dict(zip(taken, drawn, strict=True)) if drawn else {}
    steps = dict(pairwise(route))

    def sign(place: Place, to: Place | None) -> str:
        if kind in DIRECTED:
            beside = ways(place, grid)
            ahead = [one for one in beside if one in taken] or list(beside)
            return beside[to or rng.choice(ahead)]
        to = to or rng.choice([one for one in taken if one != place])
        return looks[to] if looks else f"{to[0] + 1} {to[1] + 1}"

    def slot(on_route: dict[Place, Place]) -> dict[Place, str]:
        return {place: sign(place, on_route.get(place)) for place in taken}

    moments = [{at: to} for at, to in steps.items()] if kind == "handed" else [steps]
    slots = tuple(slot(moment) for moment in moments)
    return Board(kind, grid, slots, looks, background_of(rng), rng.choice(COLORS)), route[0]
