"""visual_path: every step is read once more from the pixels that come back from disk."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ral.data.media import MediaReader, MediaSettings
from ral.types import Example, UserError
from ral.worlds.draw import RGB, silhouette
from ral.worlds.scene import COLORS, DIRECTIONS, SHAPES
from ral.worlds.visual_path import make, source
from ral.worlds.visual_path.board import KINDS, Board, follow, neighbour_of
from ral.worlds.visual_path.draw import render
from ral.worlds.visual_path.entries import Cells, Settings, Steps, board_key, compose, entry_of, misread_of

CELL = 28
SIZES = {"sft": 80, "train": 80, "validation": 16, "test": 16}
READER = MediaReader(MediaSettings(image_min_pixels=CELL**2, video_min_pixels=CELL**2, video_max_pixels=1024 * CELL**2))
SETTINGS = Settings("train", 80, 3, KINDS, Cells(4, 3, (1,), 1.0), Steps(3, 3), 0.0)
Pixels = NDArray[np.float64]


def slots(example: Example) -> Pixels:
    """One picture, or one of each two frames of a clip: [S H W 3]."""
    frames = READER.read(example.media[0]).frames.numpy().astype(float)
    return frames if len(frames) == 1 else frames[::2]


def contrast(pixels: Pixels) -> Pixels:
    """How far each pixel of a cell is from the cell's corner, which is background in every kind."""
    return np.abs(pixels - pixels[-1, 0]).sum(-1)


@cache
def templates(kind: str, zoom: int) -> dict[str, Pixels]:
    """Cells as they are drawn alone, by what stands on them."""
    signs = list(DIRECTIONS) if kind in ("arrows", "handed") else [f"{r} {c}" for r in range(1, 5) for c in range(1, 5)]
    drawn = {}
    for sign in signs:
        board = Board(kind, 1, ({(0, 0): sign},), {}, (240, 240, 240), "blue")  # type: ignore[arg-type]
        drawn[sign] = contrast(np.asarray(render(board, zoom)[0], dtype=float))
    return drawn


def figures(cell: Pixels) -> tuple[str, str]:
    """The looks in the upper left and in the lower right quarter of a cell."""
    half = len(cell) // 2
    return figure(cell[:half, :half], cell[-1, 0]), figure(cell[half:, half:], cell[-1, 0])


@cache
def outlines(side: int, shown: int) -> dict[str, Pixels]:
    """Masks of all shapes of `shown` pixels in a quarter of `side` pixels."""
    masks = {}
    for shape in SHAPES:
        canvas = Image.new("L", (side, side), 0)
        corner = side // 2 - shown // 2
        canvas.paste(silhouette(shape, shown), (corner, corner))
        masks[shape] = np.asarray(canvas, dtype=float) / 255
    return masks


def figure(quarter: Pixels, background: Pixels) -> str:
    far = np.abs(quarter - background).sum(-1)
    inside = far > 100
    color = min(COLORS, key=lambda name: np.abs(np.median(quarter[inside], axis=0) - RGB[name]).sum())
    mask = far / far.max()
    sizes = {n: outlines(len(quarter), n) for n in (len(quarter), len(quarter) * 6 // 7)}
    found = {(s, n): np.abs(sizes[n][s] - mask).sum() for n in sizes for s in SHAPES}
    return f"{color} {min(found, key=lambda key: found[key])[0]}"


def cell_of(picture: Pixels, place: tuple[int, int], side: int) -> Pixels:
    row, col = place
    return picture[row * side : (row + 1) * side, col * side : (col + 1) * side]


def sign_on(kind: str, cell: Pixels) -> str:
    """What a cell of the picture says."""
    if kind == "looks":
        return figures(cell)[1]
    seen, drawn = contrast(cell), templates(kind, len(cell) // CELL)
    return max(drawn, key=lambda sign: np.corrcoef(seen.ravel(), drawn[sign].ravel())[0, 1])


def solved(example: Example, kind: str, grid: int) -> tuple[list[str], str, list[tuple[int, int]]]:
    """Steps, answer and the cells looked at, by reading the pixels from where the question starts."""
    pictures = slots(example)
    side = pictures.shape[1] // grid
    words = example.question.rstrip(".").split()
    length = int(words[-2])
    looks = {}
    if kind == "looks":
        places = [
            (r, c) for r in range(grid) for c in range(grid) if contrast(cell_of(pictures[0], (r, c), side)).any()
        ]
        looks = {figures(cell_of(pictures[0], place, side))[0]: place for place in places}
        at = looks[" ".join(words[3:5])]
    else:
        row, col = [word for word in words if word.isdigit()][:2]
        at = (int(row) - 1, int(col) - 1)
    texts, seen = [], []
    for step in range(length):
        sign = sign_on(kind, cell_of(pictures[min(step, len(pictures) - 1)], at, side))
        seen.append(at)
        if sign in DIRECTIONS:
            texts.append(f"{at[0] + 1} {at[1] + 1} {sign}")
            at = (at[0] + DIRECTIONS[sign][0], at[1] + DIRECTIONS[sign][1])
        else:
            texts.append(sign)
            at = looks[sign] if looks else (int(sign[0]) - 1, int(sign[2]) - 1)
    end = texts[-1] if looks else f"{at[0] + 1} {at[1] + 1}"
    return texts, end, seen


def box(place: tuple[int, int], grid: int) -> Any:
    row, col = place
    return pytest.approx((col / grid, row / grid, (col + 1) / grid, (row + 1) / grid), abs=1e-5)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("visual_path")


@pytest.fixture(scope="module")
def train(root: Path) -> list[Example]:
    return list(source("train", root=root, sizes=SIZES, seed=3))


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_and_answer_can_be_read_off_the_pixels(train: list[Example], kind: str) -> None:
    examples = train[KINDS.index(kind) :: len(KINDS)]
    assert len(examples) == 20
    for example in examples:
        grid = 3 if kind == "handed" else 4
        texts, answer, seen = solved(example, kind, grid)
        assert (texts, answer) == ([step.text for step in example.steps], example.answer), example
        assert example.thought == " ".join(texts)
        assert [step.boxes for step in example.steps] == [(box(place, grid),) for place in seen]


def test_evidence_is_the_boxes_of_the_steps_and_in_clips_their_seconds(train: list[Example]) -> None:
    for example in train:
        assert [(piece.box,) for piece in example.evidence] == [step.boxes for step in example.steps]
        spans = [piece.span for piece in example.evidence]
        assert spans == ([(0, 2), (2, 4), (4, 6)] if example.media[0].kind == "video" else [None] * 3)


def test_each_step_reads_another_cell_and_the_end_is_none_of_them(train: list[Example]) -> None:
    for example in train:
        assert len({step.boxes for step in example.steps}) == 3
    for index in range(SETTINGS.size):
        board, start, length = compose(index, SETTINGS)
        route = follow(board, start, length)
        assert len({start, *(step.to for step in route)}) == length + 1


def test_holders_hand_on_elsewhere_in_each_slot() -> None:
    """A clip's step looks wrong in most cases if it looks into another slot: the arms of a cell change."""
    changed = []
    for index in range(3, 80, 4):
        board, start, length = compose(index, SETTINGS)
        changed += [
            step.sign != board.slots[(step.slot + 1) % length][step.seen] for step in follow(board, start, length)
        ]
    assert np.mean(changed) > 0.4


def test_signs_beside_the_route_change_nothing() -> None:
    """With every cell that is not looked at set to another sign, the route is the same."""
    for index in range(SETTINGS.size):
        board, start, length = compose(index, SETTINGS)
        route = follow(board, start, length)
        read = {(step.slot, step.seen) for step in route}
        other = tuple(
            {
                place: sign if (n, place) in read else next(s for s in slot.values() if s != sign)
                for place, sign in slot.items()
            }
            for n, slot in enumerate(board.slots)
        )
        assert other != board.slots and follow(replace(board, slots=other), start, length) == route


@pytest.mark.parametrize("share, filled", [(0.0, 4), (0.5, 10), (1.0, 16)])
def test_distractors_fill_that_share_of_the_other_cells(share: float, filled: int) -> None:
    settings = replace(SETTINGS, kinds=("arrows", "digits", "looks"), cells=Cells(4, 3, (1,), share))
    for index in range(12):
        board, _, _ = compose(index, settings)
        assert len(board.slots[0]) == filled


@pytest.mark.parametrize("grid, zoom, tokens", [(4, 1, 16), (2, 2, 16), (8, 4, 1024), (32, 1, 1024)])
def test_visual_tokens_from_16_to_1024(tmp_path: Path, grid: int, zoom: int, tokens: int) -> None:
    kinds = KINDS[:2] if grid != 4 else KINDS
    examples = source(
        "train", root=tmp_path, sizes={"train": 4}, seed=0, kinds=kinds, grid=grid, zoom=zoom, shortest=1, longest=2
    )
    for example, kind in zip(examples, kinds * 2, strict=False):
        pictures = slots(example)
        if kind != "handed":
            assert pictures.shape[1] * pictures.shape[2] == tokens * CELL**2
            assert len(pictures) == 1
        if grid <= 4 or kind == "arrows":
            texts, answer, _ = solved(example, kind, 3 if kind == "handed" else grid)
            assert (texts, answer) == ([step.text for step in example.steps], example.answer)


def test_zooms_of_a_list_take_turns_and_change_nothing_else(tmp_path: Path) -> None:
    knobs: dict[str, Any] = {"sizes": {"train": 8}, "seed": 0, "kinds": ["arrows", "digits"], "longest": 4}
    one = source("train", root=tmp_path / "one", zoom=1, **knobs)
    turns = source("train", root=tmp_path / "turns", zoom=[1, 2, 4], **knobs)
    sides = [slots(example).shape[1] // CELL for example in turns]
    assert sides == [4, 4, 8, 8, 16, 16, 4, 4]  # both kinds at each zoom
    assert [(e.question, e.answer, e.steps) for e in one] == [(e.question, e.answer, e.steps) for e in turns]


@pytest.mark.parametrize("zooms, hint", [([2, 16], "2 to 2 cells for zoom 16"), ([4, 1], "4 to 32 cells for zoom 1")])
def test_every_zoom_of_a_list_has_to_fit_the_grid(tmp_path: Path, zooms: list[int], hint: str) -> None:
    with pytest.raises(UserError, match=f"field 'grid': 3 does not work; write {hint}"):
        source("train", root=tmp_path, sizes={"train": 2}, seed=0, kinds=["arrows"], grid=3, zoom=zooms, longest=3)


def test_clips_of_1024_tokens_a_frame_are_read_whole(tmp_path: Path) -> None:
    (example,) = source(
        "train", root=tmp_path, sizes={"train": 1}, seed=0, kinds=["handed"], clip_grid=8, zoom=4, longest=6, shortest=6
    )
    assert slots(example).shape == (6, 32 * CELL, 32 * CELL, 3)
    texts, answer, _ = solved(example, "handed", 8)
    assert (texts, answer) == ([step.text for step in example.steps], example.answer)


def test_lengths_lie_between_shortest_and_longest(tmp_path: Path) -> None:
    examples = source("train", root=tmp_path, sizes={"train": 40}, seed=0, shortest=1, longest=4)
    assert {len(example.steps) for example in examples} == {1, 2, 3, 4}
    for example in examples:
        assert f" {len(example.steps)} times." in example.question


def test_same_seed_same_bytes_and_other_seed_other_bytes(tmp_path: Path) -> None:
    def files(folder: str, seed: int) -> dict[str, bytes]:
        make(tmp_path / folder, replace(SETTINGS, size=8, seed=seed))
        paths = (p for p in (tmp_path / folder).rglob("*") if p.is_file())
        return {str(p.relative_to(tmp_path / folder)): p.read_bytes() for p in paths}

    first = files("a", 1)
    assert first == files("b", 1)
    assert first["train.json"] != files("c", 2)["train.json"]
    assert sum(name.endswith(".png") for name in first) == 6 and sum(name.endswith(".mp4") for name in first) == 2


def test_entries_and_pixels_are_those_of_the_first_version() -> None:
    """Golden: whoever changes what a seed gives raises VERSION, and the shipped models have to be trained anew."""
    entries, pixels = hashlib.sha256(), hashlib.sha256()
    for index in range(40):
        board, entry = entry_of(index, replace(SETTINGS, split="sft", misread=0.7, steps=Steps(2, 3)))
        entries.update(json.dumps(entry, sort_keys=True).encode())
        if board.kind != "digits":  # a font is drawn by the libraries of the machine
            pixels.update(b"".join(picture.tobytes() for picture in render(board, 1)))
    assert (entries.hexdigest()[:16], pixels.hexdigest()[:16]) == ("1138c0636026e73b", "0df065e20f6fb65b")


def test_smaller_split_is_the_beginning_of_a_larger(root: Path, train: list[Example], tmp_path: Path) -> None:
    few = json.loads(make(tmp_path, replace(SETTINGS, size=10)).read_text())
    assert few == json.loads((root / "train.json").read_text())[:10]


def test_no_board_is_in_two_splits_even_of_different_seeds() -> None:
    tight = replace(SETTINGS, size=60, kinds=("arrows",), cells=Cells(4, 3, (1,), 0.0), steps=Steps(1, 1))
    made = {
        split: {board_key(compose(n, replace(tight, split=split, seed=seed))[0]) for n in range(60)}
        for split, seed in zip(SIZES, (0, 0, 0, 1), strict=True)
    }
    for one in made:
        for other in made:
            assert one == other or not made[one] & made[other]


def misread_steps(settings: Settings) -> list[bool]:
    """Of each step of each entry: whether it says something else than the cell where it stands."""
    wrong = []
    for index in range(settings.size):
        board, start, length = compose(index, settings)
        for step in follow(board, start, length, misread_of(index, length, settings)):
            assert step.seen in (step.at, neighbour_of(step.at, board.grid))
            assert step.sign == board.slots[step.slot][step.seen]
            wrong.append(step.seen != step.at)
    return wrong


def test_sft_misreads_the_neighbour_as_often_as_asked() -> None:
    sft = replace(SETTINGS, split="sft", size=200, kinds=("digits", "looks"))
    assert 0.6 < np.mean(misread_steps(replace(sft, misread=0.7))) < 0.75
    assert not any(misread_steps(sft)) and not any(misread_steps(replace(SETTINGS, misread=0.7)))


def test_misread_entries_say_what_the_neighbours_say_and_show_the_same_board() -> None:
    sft = replace(SETTINGS, split="sft", misread=1.0)
    others = 0
    for index in range(40):
        board, entry = entry_of(index, sft)
        right_board, right = entry_of(index, replace(sft, misread=0.0))
        assert board == right_board and entry["steps"] == right["steps"] and entry["evidence"] == right["evidence"]
        _, start, length = compose(index, sft)
        told = follow(board, start, length, (True,) * length)
        spoken = " ".join(step.sign for step in told)
        assert all(word in entry["process"] for word in spoken.split())
        others += entry["process"] != right["process"]
    assert others > 30


def test_a_step_whose_neighbour_leads_nowhere_is_read_right() -> None:
    board = Board("arrows", 2, ({(0, 0): "down", (0, 1): "up", (1, 0): "right", (1, 1): "left"},), {}, (0, 0, 0), "red")
    assert [step.sign for step in follow(board, (0, 0), 2, (True, True))] == ["down", "right"]
    empty = replace(board, slots=({(0, 0): "down", (1, 0): "right", (1, 1): "left"},))
    assert [step.seen for step in follow(empty, (0, 0), 1, (True,))] == [(0, 0)]


@pytest.mark.parametrize(
    "knob, value, hint",
    [
        ("grid", 33, "4 to 32 cells for zoom 1"),
        ("clip_grid", 1, "2 to 32 cells for zoom 1"),
        ("zoom", 0, "at least 1 visual token a side of a cell"),
        ("zoom", [], "at least 1 visual token a side of a cell"),
        ("zoom", [1, 0], "at least 1 visual token a side of a cell"),
        ("grid", 3, "4 to 32 cells for zoom 1"),
        ("shortest", 0, "1 to 3 steps"),
        ("shortest", 4, "1 to 3 steps"),
        ("longest", 5, "1 to 4 steps for this grid"),
        ("distractors", 1.5, "a share from 0 to 1"),
        ("misread", -0.1, "a share from 0 to 1"),
        ("kinds", ["arrow"], "a list of some of arrows, digits, looks, handed"),
        ("kinds", [], "a list of some of arrows"),
    ],
)
def test_knobs_that_cannot_work_are_named(tmp_path: Path, knob: str, value: Any, hint: str) -> None:
    knobs: dict[str, Any] = {knob: value}
    with pytest.raises(UserError, match=rf"visual_path: field '{knob}': .* does not work; write {hint}"):
        source("train", root=tmp_path, sizes={"train": 4}, seed=0, **knobs)


def test_looks_need_a_name_for_every_cell(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"field 'distractors': 1.0 does not work; write at most 0.53 for kind looks"):
        source("train", root=tmp_path, sizes={"train": 4}, seed=0, kinds=["looks"], grid=8)
    made = source("train", root=tmp_path, sizes={"train": 2}, seed=0, kinds=["looks"], grid=8, distractors=0.53)
    assert solved(made[0], "looks", 8)[1] == made[0].answer


def test_missing_size(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="visual_path: field 'sizes': no size for split 'test'"):
        source("test", root=tmp_path, sizes={"train": 3}, seed=0)
