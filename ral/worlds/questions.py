"""Questions of `visual_search` about a scene, each with a right reply and the reply about the salient object.

Item 0 of a scene is the object asked about, item 1 the salient one (`ral.worlds.scene`). A template makes a scene that
suits its question and asks the question; `listing` asks for everything in a scene instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from ral.worlds.scene import (
    COLORS,
    DIRECTIONS,
    SLOT_FRAMES,
    Item,
    Scene,
    clip,
    few_colors,
    picture,
    signs,
    states,
)

SECONDS_PER_SLOT = float(SLOT_FRAMES)  # clips have one frame a second
KEPT = 0.4  # share kept of the clips whose answer would be too common: objects that stand still, or end off the edges
OPPOSITE = {"up": "down", "down": "up", "left": "right", "right": "left"}
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Reply:
    """An answer, the reasoning that leads to it, and the place where it can be seen.

    box: (left, top, right, bottom) in fractions of the image; None where there is no single place. span: (start, end)
    in seconds; None for the whole time.
    """

    answer: str
    thought: str
    box: Box | None = None
    span: tuple[float, float] | None = None


@dataclass(frozen=True)
class Question:
    """One question about one scene.

    right: the right reply. salient: the reply that would be right if the salient object had been asked about. options:
    ("A. red", ...) for multiple choice, else ().
    """

    text: str
    problem_type: str
    right: Reply
    salient: Reply
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class World:
    """Settings of every scene.

    grid, clip_grid: cells a side of images and of videos. frames: number of frames of a video. distractors: greatest
    number of objects in an image besides the asked and the salient one; there may be up to two fewer.
    """

    grid: int
    clip_grid: int
    frames: int
    distractors: int


def cells_box(items: Iterable[Item], grid: int) -> Box:
    """Return the smallest box, in fractions of the image, around the cells of all `items`."""
    places = list(items)
    rows, cols = [i.row for i in places], [i.col for i in places]
    return min(cols) / grid, min(rows) / grid, (max(cols) + 1) / grid, (max(rows) + 1) / grid


def percent_from_left(col: int, grid: int) -> str:
    """Return the centre of column `col` (from 0), in percent of the width, rounded half up, as text."""
    return str(int((2 * col + 1) * 50 / grid + 0.5))


def lettered(choices: Iterable[str]) -> tuple[str, ...]:
    """Return up to eight options with letters: ("red", "blue") -> ("A. red", "B. blue")."""
    return tuple(f"{letter}. {choice}" for letter, choice in zip("ABCDEFGH", choices, strict=False))


def letter_of(choice: str, options: Iterable[str]) -> str:
    """Return the letter of the option with the text `choice`."""
    return next(option[0] for option in options if option[3:] == choice)


def ask_color(scene: Scene, rng: Random) -> Question:
    """Ask for the color of an object, with four options; the salient object's color is always one of them."""
    asked, salient = scene.items[:2]
    wanted = {asked.color, salient.color}
    others = rng.sample([color for color in COLORS if color not in wanted], 4 - len(wanted))
    options = lettered(rng.sample([*sorted(wanted), *others], 4))

    def reply(item: Item) -> Reply:
        thought = f"the {item.shape} is {item.color}"
        return Reply(letter_of(item.color, options), thought, cells_box([item], scene.grid))

    text = f"What color is the {asked.shape}?"
    return Question(text, "multiple choice", reply(asked), reply(salient), options)


def ask_looks(scene: Scene, rng: Random) -> Question:
    """Ask for color and shape of an object, in free form."""
    asked, salient = scene.items[:2]

    def reply(item: Item) -> Reply:
        thought = f"the {item.shape} is {item.color}"
        return Reply(f"{item.color} {item.shape}", thought, cells_box([item], scene.grid))

    return Question(f"What does the {asked.shape} look like?", "free-form", reply(asked), reply(salient))


def ask_count(scene: Scene, rng: Random) -> Question:
    """Ask for the number of objects that have the color of the asked object, itself included."""
    asked, salient = scene.items[:2]

    def reply(item: Item) -> Reply:
        count = sum(other.color == item.color for other in scene.items)
        thought = f"the {item.shape} is {item.color}: {count}"
        return Reply(str(count), thought, cells_box([item], scene.grid))

    text = f"How many objects have the color of the {asked.shape}?"
    return Question(text, "numerical", reply(asked), reply(salient))


def ask_column(scene: Scene, rng: Random) -> Question:
    """Ask for the place of an object: the centre of its column, in percent of the width from the left."""
    asked, salient = scene.items[:2]

    def reply(item: Item) -> Reply:
        thought = f"the {item.shape} is in column {item.col + 1}"
        return Reply(percent_from_left(item.col, scene.grid), thought, cells_box([item], scene.grid))

    text = f"How far from the left is the {asked.shape}, in percent of the width?"
    return Question(text, "regression", reply(asked), reply(salient))


def ask_text(scene: Scene, rng: Random) -> Question:
    """Ask for the letter and digit written on a sign."""
    asked, salient = scene.items[:2]

    def reply(item: Item) -> Reply:
        return Reply(item.text, f"the {item.color} sign reads {item.text}", cells_box([item], scene.grid))

    return Question(f"What is written on the {asked.color} sign?", "OCR", reply(asked), reply(salient))


def moves_of(scene: Scene, number: int) -> list[int]:
    """Return the moves that item `number` makes, as indices in scene.moves."""
    return [n for n, move in enumerate(scene.moves) if move.item == number]


def _move_reply(scene: Scene, move: int, answer: str, thought: str) -> Reply:
    """Return a reply about one move of a scene: the box of its two cells, the time of the slots around it."""
    number = scene.moves[move].item
    box = cells_box([items[number] for items in states(scene)[move : move + 2]], scene.grid)
    return Reply(answer, thought, box, (move * SECONDS_PER_SLOT, (move + 2) * SECONDS_PER_SLOT))


def ask_first_way(scene: Scene, rng: Random) -> Question | None:
    """Ask for the direction of the asked object's first move.

    None where the question could be answered without the order of moves: where the first two moves of the object are
    equal, or the first one is the reverse of the last.
    """
    ways = [scene.moves[n].direction for n in moves_of(scene, 0)]
    if ways[0] in (ways[1], OPPOSITE[ways[-1]]):
        return None
    options = lettered(rng.sample(list(DIRECTIONS), 4))

    def reply(number: int) -> Reply:
        move = moves_of(scene, number)[0]
        way = scene.moves[move].direction
        thought = f"the {scene.items[number].shape} goes {way} first"
        return _move_reply(scene, move, letter_of(way, options), thought)

    text = f"Which way did the {scene.items[0].shape} go first?"
    return Question(text, "multiple choice", reply(0), reply(1), options)


def ask_move_count(scene: Scene, rng: Random) -> Question | None:
    """Ask for the number of moves of the asked object. The evidence is every cell that it visits, all of the time.

    None for most scenes in which it does not move, so that the answer 0 is not too common.
    """
    if not moves_of(scene, 0) and rng.random() > KEPT:
        return None

    def reply(number: int) -> Reply:
        count = len(moves_of(scene, number))
        box = cells_box([items[number] for items in states(scene)], scene.grid)
        return Reply(str(count), f"the {scene.items[number].shape} moves {count} times", box)

    return Question(f"How many times did the {scene.items[0].shape} move?", "numerical", reply(0), reply(1))


def ask_last_mover(scene: Scene, rng: Random) -> Question | None:
    """Ask for color and shape of the object that moves last.

    None where this is the salient object, or the one that moves first.
    """
    last = len(scene.moves) - 1
    if scene.moves[last].item in (1, scene.moves[0].item):
        return None

    def reply(move: int) -> Reply:
        item = scene.items[scene.moves[move].item]
        thought = f"the {item.shape} moves last and is {item.color}"
        return _move_reply(scene, move, f"{item.color} {item.shape}", thought)

    return Question("Which object moved last?", "free-form", reply(last), reply(moves_of(scene, 1)[-1]))


def ask_end(scene: Scene, rng: Random) -> Question | None:
    """Ask for the column in which the asked object ends, in percent of the width from the left.

    None where it ends in the column where it began, and for most scenes in which it ends away from the left and right
    edge.
    """
    ends = states(scene)[-1]
    at_edge = ends[0].col in (0, scene.grid - 1)
    if ends[0].col == scene.items[0].col or (not at_edge and rng.random() > KEPT):
        return None
    seconds = SECONDS_PER_SLOT * (len(scene.moves) + 1)

    def reply(item: Item) -> Reply:
        thought = f"the {item.shape} ends in column {item.col + 1}"
        span = (seconds - SECONDS_PER_SLOT, seconds)
        return Reply(percent_from_left(item.col, scene.grid), thought, cells_box([item], scene.grid), span)

    text = f"How far from the left did the {ends[0].shape} end, in percent of the width?"
    return Question(text, "regression", reply(ends[0]), reply(ends[1]))


def listing(scene: Scene) -> Question:
    """Return a question that asks for everything, with one reply: all objects row by row, or all moves in order."""
    if scene.moves:
        parts = [f"{scene.items[move.item].shape} {move.direction}" for move in scene.moves]
        text, unit = "List all moves.", "moves"
    else:
        ordered = sorted(scene.items, key=lambda item: (item.row, item.col))
        parts = [f"column {i.col + 1} {i.color} {i.shape} {i.text}".rstrip() for i in ordered]
        text, unit = "List all objects.", "objects"
    reply = Reply(f"{len(parts)} {unit}", ", ".join(parts))
    return Question(text, "free-form", reply, reply)


Ask = Callable[[Scene, Random], Question | None]
Template = Callable[[Random, World], tuple[Scene, Question] | None]


def _of_picture(make: Callable[[Random, int, int], Scene], ask: Ask) -> Template:
    def template(rng: Random, world: World) -> tuple[Scene, Question] | None:
        scene = make(rng, world.grid, world.distractors)
        question = ask(scene, rng)
        return None if question is None else (scene, question)

    return template


def _of_clip(asked_least: int, ask: Ask) -> Template:
    def template(rng: Random, world: World) -> tuple[Scene, Question] | None:
        scene = clip(rng, world.clip_grid, world.frames, asked_least)
        question = None if scene is None else ask(scene, rng)
        return None if scene is None or question is None else (scene, question)

    return template


PICTURE_TEMPLATES = (
    _of_picture(picture, ask_color),
    _of_picture(picture, ask_looks),
    _of_picture(few_colors, ask_count),
    _of_picture(picture, ask_column),
    _of_picture(signs, ask_text),
)
FREE_FORM_OF_PICTURES, FREE_FORM_OF_CLIPS = 1, 2
"""Indices of the free-form questions in PICTURE_TEMPLATES and CLIP_TEMPLATES."""
CLIP_TEMPLATES = (
    _of_clip(2, ask_first_way),
    _of_clip(0, ask_move_count),
    _of_clip(0, ask_last_mover),
    _of_clip(1, ask_end),
)
