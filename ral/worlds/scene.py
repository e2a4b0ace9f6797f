"""Scenes of `visual_search`: objects or signs on a grid of cells, and their moves in a video.

Everything here is plain values drawn from a `random.Random`; `draw` renders scenes, `questions` asks about them. In
every scene item 0 is the one asked about and item 1 is the salient one: much larger than all others, the one that an
inattentive reader would talk about.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

CELL = 28  # pixels; one visual token of Qwen2-VL and Qwen2.5-VL (14-pixel patches, merged 2 x 2)
SLOT_FRAMES = 2  # frames in which the world stands still; these models merge two frames into one temporal step
SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond")
COLORS = ("red", "green", "blue", "yellow", "purple", "orange")
LETTERS, DIGITS = "ACEHKLTX", "123456"
DIRECTIONS = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}  # name -> (rows, columns)
SMALL_PIXELS, SALIENT_PIXELS = (14, 16), 26
SMALL_SIGN_PIXELS, SALIENT_SIGN_PIXELS = 22, 28
CLIP_ITEMS = 3

# Which scenes a split may hold, in percent of all scenes. A scene's bucket depends on nothing but the scene, so no
# two splits can share one, whatever their seeds and sizes.
SPLIT_BUCKETS = {"sft": range(0, 40), "train": range(40, 80), "validation": range(80, 90), "test": range(90, 100)}


@dataclass(frozen=True)
class Item:
    """One object, or a sign with `text`.

    row, col: its cell, from 0. size: pixels a side. dx, dy: offset from the cell's centre, in pixels.
    """

    shape: str
    color: str
    row: int
    col: int
    size: int
    dx: int = 0
    dy: int = 0
    text: str = ""


@dataclass(frozen=True)
class Move:
    """A move of item number `item` by one cell in `direction`, a key of DIRECTIONS."""

    item: int
    direction: str


@dataclass(frozen=True)
class Scene:
    """Items on grid x grid cells, at most one in a cell. moves: made one after another, between slots; () for an image.

    A slot is a time of SLOT_FRAMES frames in which nothing moves. background: RGB, 0 to 255.
    """

    grid: int
    background: tuple[int, int, int]
    items: tuple[Item, ...]
    moves: tuple[Move, ...] = ()


def moved(item: Item, direction: str) -> Item:
    """Return the item one cell further in `direction`; it may lie outside the grid."""
    rows, cols = DIRECTIONS[direction]
    return replace(item, row=item.row + rows, col=item.col + cols)


def apply_move(items: Sequence[Item], move: Move) -> tuple[Item, ...]:
    """Return all items after one move."""
    return tuple(moved(item, move.direction) if n == move.item else item for n, item in enumerate(items))


def states(scene: Scene) -> list[tuple[Item, ...]]:
    """Return the items of each slot in order, one slot more than there are moves."""
    result = [scene.items]
    for move in scene.moves:
        result.append(apply_move(result[-1], move))
    return result


def scene_key(scene: Scene) -> str:
    """Return a text that is equal for equal scenes: layout, looks and moves.

    Offsets in cells, the background and which object is asked about do not count.
    """
    items = sorted(f"{i.shape} {i.color} {i.row} {i.col} {n == 1} {i.text}" for n, i in enumerate(scene.items))
    moves = [f"{scene.items[m.item].shape} {m.direction}" for m in scene.moves]
    return f"{scene.grid}|{'|'.join(items)}|{'|'.join(moves)}"


def split_of(scene: Scene) -> str:
    """Return the only split that may hold this scene."""
    return split_of_key(scene_key(scene))


def split_of_key(key: str) -> str:
    """Return the only split that may hold the scene or board with this key, by a hash of the key."""
    bucket = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % 100
    return next(split for split, buckets in SPLIT_BUCKETS.items() if bucket in buckets)


def background_of(rng: Random) -> tuple[int, int, int]:
    """Return a random light background, nearly grey: RGB, 0 to 255."""
    base = rng.randint(234, 248)
    red, green, blue = (base + rng.randint(-4, 4) for _ in range(3))
    return red, green, blue


def _jittered(rng: Random, item: Item) -> Item:
    """Return the item shifted by at most 4 pixels each way, so that it stays inside its cell."""
    reach = min(4, (CELL - item.size) // 2)
    return replace(item, dx=rng.randint(-reach, reach), dy=rng.randint(-reach, reach))


def _cells(rng: Random, grid: int, count: int) -> list[tuple[int, int]]:
    return [divmod(cell, grid) for cell in rng.sample(range(grid * grid), count)]


def _count(rng: Random, distractors: int) -> int:
    """Return the number of items of an image: from max(2, distractors) to distractors + 2."""
    return rng.randint(max(2, distractors), distractors + 2)


def objects(rng: Random, grid: int, count: int, palette: Sequence[str] = COLORS) -> Scene:
    """Return a scene of `count` objects of different shapes, at most len(SHAPES), on grid x grid cells.

    palette: colors that they may have; several objects may have the same one.
    """
    shapes = rng.sample(SHAPES, count)
    sizes = [SALIENT_PIXELS if n == 1 else rng.randint(*SMALL_PIXELS) for n in range(count)]
    items = tuple(
        _jittered(rng, Item(shape, rng.choice(palette), row, col, size))
        for shape, size, (row, col) in zip(shapes, sizes, _cells(rng, grid, count), strict=True)
    )
    return Scene(grid, background_of(rng), items)


def picture(rng: Random, grid: int, distractors: int) -> Scene:
    """Return a scene of objects in any colors, for an image. grid, distractors: as in `ral.worlds.questions.World`."""
    return objects(rng, grid, _count(rng, distractors))


def few_colors(rng: Random, grid: int, distractors: int) -> Scene:
    """Return a scene of objects in at most three colors, for an image, so that objects often share a color.

    grid, distractors: as in `ral.worlds.questions.World`.
    """
    return objects(rng, grid, _count(rng, distractors), rng.sample(COLORS, 3))


def signs(rng: Random, grid: int, distractors: int) -> Scene:
    """Return a scene of signs for an image: squares of different colors, each with a letter and a digit on it.

    grid, distractors: as in `ral.worlds.questions.World`.
    """
    count = _count(rng, distractors)
    texts = [a + b for a, b in zip(rng.sample(LETTERS, count), rng.choices(DIGITS, k=count), strict=True)]
    sizes = [SALIENT_SIGN_PIXELS if n == 1 else SMALL_SIGN_PIXELS for n in range(count)]
    items = tuple(
        _jittered(rng, Item("sign", color, row, col, size, text=text))
        for color, text, size, (row, col) in zip(
            rng.sample(COLORS, count), texts, sizes, _cells(rng, grid, count), strict=True
        )
    )
    return Scene(grid, background_of(rng), items)


def movers(rng: Random, count: int, asked_least: int) -> list[int]:
    """Return, for each of `count` moves, the number of the item that makes it.

    Item 0, which the question is about, moves at least `asked_least` times, item 1 at least once.
    """
    asked = rng.randint(asked_least, count - 1)
    salient = rng.randint(1, count - asked)
    order = [0] * asked + [1] * salient + [2] * (count - asked - salient)
    rng.shuffle(order)
    return order


def free_directions(items: Sequence[Item], mover: int, grid: int) -> list[str]:
    """Return the directions in which the cell beside item number `mover` is empty and inside the grid."""
    taken = {(item.row, item.col) for item in items}
    ahead = {name: moved(items[mover], name) for name in DIRECTIONS}
    return [
        name
        for name, item in ahead.items()
        if 0 <= item.row < grid and 0 <= item.col < grid and (item.row, item.col) not in taken
    ]


def clip(rng: Random, grid: int, frames: int, asked_least: int) -> Scene | None:
    """Return a scene of three objects for a video of `frames` frames; one object moves between consecutive time slots.

    There are frames / 2 time slots. asked_least: least number of moves of item 0, the object that the question is
    about. None where an object that has to move has no empty cell beside it.
    """
    scene = objects(rng, grid, CLIP_ITEMS)
    items, moves = scene.items, []
    for mover in movers(rng, frames // SLOT_FRAMES - 1, asked_least):
        ways = free_directions(items, mover, grid)
        if not ways:
            return None
        moves.append(Move(mover, rng.choice(ways)))
        items = apply_move(items, moves[-1])
    return replace(scene, moves=tuple(moves))
