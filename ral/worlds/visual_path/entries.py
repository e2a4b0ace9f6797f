"""Entries of `visual_path` in Video-R1's JSON format, deterministic by seed.

Each cell of a board names another one: by an arrow ("arrows"), by the row and column written on it ("digits"), by the
colour and shape of a small object beside its own ("looks"), or by the arm of a disc, which points elsewhere in each
slot of a video ("handed"). A question gives the cell to start at and the number of steps; the answer is the cell where
they end. `process` is the reasoning, in every split; `steps` has a text and a box for each step, `evidence` the same
boxes with the seconds of a video. Entry i depends on seed, split, i and the other settings alone, its board not on
`misread`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from ral.data.entries import Entries
from ral.data.files import located
from ral.data.sources import read_file
from ral.types import UserError
from ral.worlds.scene import SLOT_FRAMES, SPLIT_BUCKETS, split_of_key
from ral.worlds.splits import Draw, Split, write_split
from ral.worlds.visual_path.board import DIRECTED, KINDS, Board, Kind, Place, Read, follow, name_of
from ral.worlds.visual_path.draw import write
from ral.worlds.visual_path.fill import LOOKS, draw_board

NAME = "visual_path"
VERSION = 1  # raise when the same settings give other files
LEAST_TOKENS, MOST_TOKENS = 4, 32  # visual tokens a side of a picture: 16 to 1,024 in all
MOST_ATTEMPTS = 10_000


@dataclass(frozen=True)
class Cells:
    """Settings of the cells of boards; the fields are parameters of `source`."""

    grid: int
    clip_grid: int
    zooms: tuple[int, ...]
    distractors: float

    def a_side(self, kind: Kind) -> int:
        """Return the number of cells a side of a board of this kind."""
        return self.clip_grid if kind == "handed" else self.grid


@dataclass(frozen=True)
class Steps:
    """The least and the most steps of a route."""

    shortest: int
    longest: int


@dataclass(frozen=True)
class Settings:
    """Everything that fixes the bytes of one split; the fields are parameters of `source`."""

    split: str
    size: int
    seed: int
    kinds: tuple[Kind, ...]
    cells: Cells
    steps: Steps
    misread: float

    def record(self) -> dict[str, Any]:
        """Return the content of the split's settings file: every setting under its own name."""
        knobs = asdict(self)
        cells = knobs.pop("cells")
        zooms = cells.pop("zooms")
        cells["zoom"] = zooms[0] if len(zooms) == 1 else zooms
        return cells | knobs.pop("steps") | knobs | {"version": VERSION}

    def zoom_of(self, index: int) -> int:
        """Return the visual tokens a side of a cell in entry `index` (from 0); each zoom serves one round of kinds."""
        return self.cells.zooms[index // len(self.kinds) % len(self.cells.zooms)]


def _require(ok: bool, field: str, value: object, text: str) -> None:
    if not ok:
        raise UserError(f"{NAME}: field '{field}': {value!r} does not work; write {text}")


def check(settings: Settings) -> None:
    """Raise UserError for settings that no board can satisfy."""
    s = settings
    _require(s.split in SPLIT_BUCKETS, "split", s.split, f"one of {', '.join(SPLIT_BUCKETS)}")
    _require(s.size >= 1, "size", s.size, "at least 1 entry")
    known = bool(s.kinds) and set(s.kinds) <= set(KINDS)
    _require(known, "kinds", list(s.kinds), f"a list of some of {', '.join(KINDS)}")
    text = "at least 1 visual token a side of a cell, or a list of such numbers"
    _require(bool(s.cells.zooms) and min(s.cells.zooms) >= 1, "zoom", s.record()["zoom"], text)
    for zoom in sorted(set(s.cells.zooms)):
        _check_grids(s, zoom)
    shortest, longest, most = s.steps.shortest, s.steps.longest, _longest(s)
    _require(1 <= longest <= most, "longest", longest, f"1 to {most} steps for this grid")
    _require(1 <= shortest <= longest, "shortest", shortest, f"1 to {longest} steps, the longest route")
    for name, share in (("distractors", s.cells.distractors), ("misread", s.misread)):
        _require(0 <= share <= 1, name, share, "a share from 0 to 1")
    _check_looks(s)


def _check_grids(s: Settings, zoom: int) -> None:
    """Raise UserError unless images of this zoom have 16 to 1,024 visual tokens, and frames of videos at most 1,024."""
    grid, clip_grid = s.cells.grid, s.cells.clip_grid
    most = MOST_TOKENS // zoom
    if set(s.kinds) - {"handed"}:
        least = max(2, -(-LEAST_TOKENS // zoom))
        _require(least <= grid <= most, "grid", grid, f"{least} to {most} cells for zoom {zoom}")
    if "handed" in s.kinds:
        _require(2 <= clip_grid <= most, "clip_grid", clip_grid, f"2 to {most} cells for zoom {zoom}")


def _longest(s: Settings) -> int:
    """Return the greatest number of steps for which a route is found on every grid.

    It is half of the cells, or all but one where signs name any cell.
    """
    cells = {kind: s.cells.a_side(kind) ** 2 for kind in s.kinds}
    return min(count // 2 if kind in DIRECTED else count - 1 for kind, count in cells.items())


def _check_looks(s: Settings) -> None:
    """Raise UserError unless there are enough colours and shapes to tell all cells apart."""
    if "looks" in s.kinds:
        on_route = s.steps.longest + 1
        room = max(0.0, (len(LOOKS) - on_route) / max(1, s.cells.grid**2 - on_route))
        _require(on_route <= len(LOOKS), "longest", s.steps.longest, f"at most {len(LOOKS) - 1} steps for kind looks")
        text = f"at most {int(100 * room) / 100} for kind looks in this grid"
        _require(s.cells.distractors <= room, "distractors", s.cells.distractors, text)


def compose(index: int, settings: Settings) -> tuple[Board, Place, int]:
    """Return the board, the start and the number of steps of entry `index` (from 0); kinds take turns.

    UserError where MOST_ATTEMPTS tries give no board of the split.
    """
    kind = settings.kinds[index % len(settings.kinds)]
    for attempt in range(MOST_ATTEMPTS):
        rng = Random(f"{NAME}/{settings.seed}/{settings.split}/{index}/{attempt}")
        length = rng.randint(settings.steps.shortest, settings.steps.longest)
        board, start = draw_board(rng, kind, settings.cells.a_side(kind), length, settings.cells.distractors)
        if split_of_key(board_key(board)) == settings.split:
            return board, start, length
    raise UserError(f"{NAME}: no board fits entry {index + 1} of split '{settings.split}'; allow more cells")


def board_key(board: Board) -> str:
    """Return the text by which boards are told apart: signs and looks; not colour, background or a route's start."""
    return f"{board.kind} {board.grid} {[sorted(slot.items()) for slot in board.slots]} {sorted(board.looks.items())}"


def question_of(board: Board, start: Place, length: int) -> str:
    """Return the question, in the vocabulary of the shipped models."""
    name = f"the {name_of(board, start)}" if board.looks else name_of(board, start)
    if board.kind == "handed":
        return f"It is at {name} first and moves {length} times."
    return f"Start at {name} and {'move' if board.kind in DIRECTED else 'read'} {length} times."


def said(board: Board, step: Read) -> str:
    """Return a response's words in one step: its cell and the direction there, or the cell that the sign names."""
    return f"{name_of(board, step.at)} {step.sign}" if board.kind in DIRECTED else step.sign


def box_of(board: Board, place: Place) -> list[float]:
    """Return the box of a cell, [left, top, right, bottom] in fractions of the image."""
    row, col = place
    return [round(x / board.grid, 6) for x in (col, row, col + 1, row + 1)]


def _evidence(board: Board, step: Read) -> dict[str, Any]:
    span = [float(SLOT_FRAMES * step.slot), float(SLOT_FRAMES * (step.slot + 1))] if board.kind == "handed" else None
    return {"box": box_of(board, step.seen), "span": span}


def misread_of(index: int, length: int, settings: Settings) -> tuple[bool, ...]:
    """Return, for each step of entry `index`, whether it reads the neighbour's sign; all False unless in "sft"."""
    rng = Random(f"{NAME}/{settings.seed}/{settings.split}/{index}/misread")
    share = settings.misread if settings.split == "sft" else 0.0
    return tuple(rng.random() < share for _ in range(length))


def entry_of(index: int, settings: Settings) -> tuple[Board, dict[str, Any]]:
    """Return the board and the JSON entry number `index` (from 0) of a split."""
    board, start, length = compose(index, settings)
    right = follow(board, start, length)
    told = follow(board, start, length, misread_of(index, length, settings))
    suffix = "mp4" if board.kind == "handed" else "png"
    entry = {
        "problem_id": index + 1,
        "problem": question_of(board, start, length),
        "data_type": "video" if board.kind == "handed" else "image",
        "problem_type": "free-form",
        "options": [],
        "process": f"<think>{' '.join(said(board, step) for step in told)}</think>",
        "solution": f"<answer>{name_of(board, told[-1].to)}</answer>",
        "path": f"./media/{settings.split}/{index + 1:06d}.{suffix}",
        "data_source": f"{NAME} {board.kind}",
        "evidence": [_evidence(board, step) for step in right],
        "steps": [{"text": said(board, step), "boxes": [box_of(board, step.seen)]} for step in right],
    }
    return board, entry


def _drawn(index: int, settings: Settings) -> tuple[Draw, dict[str, Any]]:
    """Return the function that draws entry `index`, and its JSON entry."""
    board, entry = entry_of(index, settings)
    return partial(write, board, settings.zoom_of(index)), entry


def make(root: Path, settings: Settings) -> Path:
    """Write `root/<split>.json` and `root/media/<split>/`; return the JSON's path.

    A split that was made with the same settings is left as it is; one with other settings is made anew. UserError for
    settings that do not work, or a root that cannot be written.
    """
    check(settings)
    entry = partial(_drawn, settings=settings)
    return write_split(root, Split(NAME, settings.split, settings.size, settings.record(), entry))


def source(
    split: str,
    *,
    root: str | Path,
    sizes: Mapping[str, int],
    seed: int,
    kinds: Sequence[Kind] = KINDS,
    grid: int = 4,
    clip_grid: int = 3,
    zoom: int | Sequence[int] = 1,
    shortest: int = 3,
    longest: int = 3,
    distractors: float = 1.0,
    misread: float = 0.0,
    limit: int | None = None,
) -> Entries:
    """Return the examples of a split, made first if need be, below the folder `root`. sizes: {split: entries}.

    kinds: those of boards, which take turns; grid, clip_grid: cells a side, the latter for the kind "handed"; zoom:
    visual tokens a side of a cell, or a list of such numbers, which take turns; shortest, longest: steps of a route;
    distractors: share of the cells beside the route that hold a sign; misread: share of the steps of SFT entries that
    read the neighbouring cell; limit: first entries to keep, None for all. UserError for a split without a size, for
    settings that do not work, for a root that cannot be written.
    """
    if split not in sizes:
        raise UserError(f"{NAME}: field 'sizes': no size for split '{split}'; write sizes.{split}: 100, say")
    zooms = (zoom,) if isinstance(zoom, int) else tuple(zoom)
    cells, steps = Cells(grid, clip_grid, zooms, float(distractors)), Steps(shortest, longest)
    settings = Settings(split, sizes[split], seed, tuple(kinds), cells, steps, float(misread))
    return read_file(make(located(root), settings), limit=limit)
