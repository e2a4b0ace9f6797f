"""visual_search: every answer is derived once more from the pixels that come back from disk."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ral.data.media import MediaReader, MediaSettings
from ral.types import PROBLEM_TYPES, Example, UserError
from ral.worlds.draw import RGB, frames_of, silhouette, sprite_of
from ral.worlds.questions import World
from ral.worlds.scene import DIGITS, LETTERS, SHAPES, scene_key, split_of
from ral.worlds.visual_search import Settings, compose, make, source

CELL = 28
LUMA = np.array([0.299, 0.587, 0.114])
SIZES = {"sft": 160, "train": 120, "validation": 24, "test": 24}
READER = MediaReader(MediaSettings(image_min_pixels=CELL**2, video_min_pixels=CELL**2), cache_bytes=2**26)
STEPS = {(-1, 0): "up", (1, 0): "down", (0, -1): "left", (0, 1): "right"}


@dataclass(frozen=True)
class Seen:
    """One thing found in the pixels of one cell."""

    shape: str
    color: str
    row: int
    col: int
    extent: int  # pixels across
    text: str = ""


def cropped(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask moved to the top left corner of 28 x 28."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    result = np.zeros((CELL, CELL), dtype=bool)
    result[: rows[-1] - rows[0] + 1, : cols[-1] - cols[0] + 1] = mask[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    return result


@lru_cache
def outlines() -> dict[tuple[str, int], NDArray[np.bool_]]:
    sizes = (14, 15, 16, 26)
    return {(s, size): cropped(np.asarray(silhouette(s, size)) > 127) for s in SHAPES for size in sizes}


def overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


@lru_cache
def ink(color: str, size: int) -> dict[str, NDArray[np.float64]]:
    texts = [a + b for a in LETTERS for b in DIGITS]
    return {text: np.asarray(sprite_of("sign", color, size, text).convert("RGB"), dtype=float) for text in texts}


def nearest_color(pixels: NDArray[np.float64]) -> str:
    """The named color that most of the pixels [n 3] are nearest to."""
    table = np.array(list(RGB.values()))
    votes = np.abs(pixels[:, None] - table).sum(-1).argmin(1)
    return list(RGB)[np.bincount(votes, minlength=len(table)).argmax()]


def look_at(cell: NDArray[np.float64], background: NDArray[np.float64], row: int, col: int, signs: bool) -> Seen | None:
    """What one cell [28 28 3] shows, None where it is empty."""
    figure = np.abs(cell - background).sum(-1) > 100
    if figure.sum() < 20:
        return None
    rows, cols = np.flatnonzero(figure.any(1)), np.flatnonzero(figure.any(0))
    crop = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
    color, extent = nearest_color(cell[figure]), int(max(np.ptp(rows), np.ptp(cols))) + 1
    if signs:
        size = 28 if extent > 25 else 22
        patch = np.asarray(Image.fromarray(cell[crop].astype(np.uint8)).resize((size, size)), dtype=float)
        text = min(ink(color, size), key=lambda t: np.abs(ink(color, size)[t] - patch).sum())
        return Seen("sign", color, row, col, extent, text)
    grey = cell @ LUMA  # full resolution in H.264, while colors are blurred over two pixels
    mask = cropped((grey - background @ LUMA) / (RGB[color] @ LUMA - background @ LUMA) > 0.5)
    shape = max(outlines(), key=lambda known: overlap(outlines()[known], mask))[0]
    return Seen(shape, color, row, col, extent)


def look(frame: NDArray[np.uint8], signs: bool = False) -> list[Seen]:
    """Everything in a frame [H W 3], in reading order."""
    picture = frame.astype(float)
    grid = picture.shape[0] // CELL
    values, counts = np.unique(picture.reshape(-1, 3), axis=0, return_counts=True)
    background = values[counts.argmax()]
    cells = picture.reshape(grid, CELL, grid, CELL, 3).swapaxes(1, 2)
    found = [look_at(cells[r, c], background, r, c, signs) for r in range(grid) for c in range(grid)]
    return [seen for seen in found if seen is not None]


def percent(col: int, grid: int) -> str:
    return {(4, 0): "13", (4, 1): "38", (4, 2): "63", (4, 3): "88", (3, 0): "17", (3, 1): "50", (3, 2): "83"}[grid, col]


def picture_answer(example: Example, seen: Sequence[Seen], grid: int) -> str:
    """The answer's plain words, from what is seen in a picture."""
    words = re.findall(r"\w+", example.question)
    item = next(s for s in seen if (s.color if "sign" in words else s.shape) in words)
    if "sign" in words:
        return item.text
    if words[1] == "color":
        return item.color
    if words[1] == "many":
        return str([s.color for s in seen].count(item.color))
    return percent(item.col, grid) if words[1] == "far" else f"{item.color} {item.shape}"


def seen_moves(slots: Sequence[Sequence[Seen]]) -> list[tuple[Seen, str]]:
    """(the object before it moves, which way) for each two neighbouring slots; "?" for anything but one step."""
    moves = []
    for before, after in pairwise(slots):
        later = {s.shape: s for s in after}
        for item in before:
            step = (later[item.shape].row - item.row, later[item.shape].col - item.col)
            if step != (0, 0):
                moves.append((item, STEPS.get(step, "?")))
    return moves


def clip_answer(example: Example, slots: Sequence[Sequence[Seen]]) -> str:
    """The answer's plain words, from what is seen in the slots of a clip."""
    words = re.findall(r"\w+", example.question)
    moves = seen_moves(slots)
    if words[0] == "Which" and words[1] == "object":
        return f"{moves[-1][0].color} {moves[-1][0].shape}" if moves else ""
    shape = next(word for word in words if word in SHAPES)
    own = [way for item, way in moves if item.shape == shape]
    if words[1] == "way":
        return own[0] if own else ""
    return str(len(own)) if words[1] == "many" else percent(next(s.col for s in slots[-1] if s.shape == shape), 3)


def frames(example: Example) -> NDArray[np.uint8]:
    return READER.read(example.media[0]).frames.numpy()


@cache
def picture_of(example: Example) -> list[Seen]:
    return look(frames(example)[0], signs="sign" in example.question + (example.thought or ""))


@cache
def slots_of(example: Example) -> list[list[Seen]]:
    return [look(frame) for frame in frames(example)[::2]]


def said(example: Example) -> str:
    """The written answer in plain words: the option's text for a letter."""
    if not example.options:
        return example.answer
    return next(option[3:] for option in example.options if option[0] == example.answer)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("visual_search")


def load(root: Path, split: str) -> list[Example]:
    return source(split, root=root, sizes=SIZES, seed=3, salient_share=0.5, list_share=0.3)


@pytest.fixture(scope="module")
def train(root: Path) -> list[Example]:
    return load(root, "train")


def test_every_picture_answer_can_be_read_off_the_pixels(train: list[Example]) -> None:
    pictures = [e for e in train if e.media[0].kind == "image"]
    assert {e.problem_type for e in pictures} == set(PROBLEM_TYPES)
    for example in pictures:
        seen = picture_of(example)
        assert picture_answer(example, seen, 4) == said(example), example


def test_every_clip_answer_can_be_read_off_the_pixels(train: list[Example]) -> None:
    clips = [e for e in train if e.media[0].kind == "video"]
    assert len(clips) == 30 and len({e.problem_type for e in clips}) == 4
    for example in clips:
        assert clip_answer(example, slots_of(example)) == said(example), example


def test_one_thing_moves_by_one_cell_between_slots(train: list[Example]) -> None:
    for example in (e for e in train if e.media[0].kind == "video"):
        slots = slots_of(example)
        moves = seen_moves(slots)
        assert len(moves) == 3 and all(way != "?" for _, way in moves)
        salient = max(slots[0], key=lambda s: s.extent).shape
        assert any(item.shape == salient for item, _ in moves)
        assert np.abs(frames(example)[0::2].astype(int) - frames(example)[1::2]).mean() < 2  # pairs stand still


def test_order_matters(train: list[Example]) -> None:
    """Shown backwards, every clip has another answer, but for counts; shuffled, most clips have."""
    shuffled = []
    for example in (e for e in train if e.media[0].kind == "video"):
        slots = slots_of(example)
        assert example.problem_type == "numerical" or clip_answer(example, slots[::-1]) != said(example)
        orders = [order for order in permutations(range(4)) if order != (0, 1, 2, 3)]
        shuffled += [clip_answer(example, [slots[n] for n in order]) != said(example) for order in orders]
    assert np.mean(shuffled) > 0.55


def test_one_object_is_far_larger_and_never_the_asked_one(train: list[Example]) -> None:
    for example in (e for e in train if e.media[0].kind == "image"):
        seen = sorted(picture_of(example), key=lambda s: s.extent)
        name = seen[-1].color if seen[-1].shape == "sign" else seen[-1].shape
        assert name not in re.findall(r"\w+", example.question)
        shapes = len({s.shape for s in seen}), len({s.color for s in seen})
        assert 4 <= len(seen) <= 6 and (len(seen) == shapes[0] or (seen[0].shape == "sign" and len(seen) == shapes[1]))
        assert seen[-1].extent >= (27 if seen[-1].shape == "sign" else 1.4 * seen[-2].extent)


def test_evidence_box_holds_the_asked_thing(train: list[Example]) -> None:
    for example in (e for e in train if e.media[0].kind == "image"):
        (evidence,) = example.evidence
        frame = frames(example)[0]
        left, top, right, bottom = (round(x * frame.shape[0]) for x in evidence.box)
        assert (right - left, bottom - top) == (CELL, CELL) and evidence.span is None
        seen = picture_of(example)
        (item,) = [s for s in seen if (s.row, s.col) == (top // CELL, left // CELL)]
        assert (item.color if item.shape == "sign" else item.shape) in re.findall(r"\w+", example.question)
        pixels = frame[top:bottom, left:right].reshape(-1, 3)
        assert (np.abs(pixels.astype(int) - RGB[item.color]).sum(-1) < 40).sum() > 40


def test_clip_evidence_names_the_cells_and_seconds_of_the_move(train: list[Example]) -> None:
    for example in (e for e in train if e.media[0].kind == "video"):
        (evidence,), slots = example.evidence, slots_of(example)
        if example.problem_type == "numerical":
            assert evidence.span is None
            continue
        assert evidence.span is not None
        start, end = (int(second) // 2 for second in evidence.span)
        words = (said(example) if example.problem_type == "free-form" else example.question).rstrip("?").split()
        places = [(s.row, s.col) for slot in slots[start:end] for s in slot if s.shape in words]
        rows, cols = [p[0] for p in places], [p[1] for p in places]
        wanted = (min(cols) / 3, min(rows) / 3, (max(cols) + 1) / 3, (max(rows) + 1) / 3)
        assert evidence.box == pytest.approx(wanted, abs=1e-5)
        assert len(set(places)) == (1 if example.problem_type == "regression" else 2)


def test_same_seed_same_bytes_and_other_seed_other_bytes(tmp_path: Path) -> None:
    def files(folder: str, seed: int) -> dict[str, bytes]:
        make(tmp_path / folder, "sft", size=24, seed=seed, salient_share=0.5, list_share=0.3)
        paths = (p for p in (tmp_path / folder).rglob("*") if p.is_file())
        return {str(p.relative_to(tmp_path / folder)): p.read_bytes() for p in paths}

    first = files("a", 1)
    assert first == files("b", 1)
    assert first["sft.json"] != files("c", 2)["sft.json"]
    assert sum(name.endswith(".png") for name in first) == 18 and sum(name.endswith(".mp4") for name in first) == 6


def test_smaller_split_is_the_beginning_of_a_larger(root: Path, train: list[Example], tmp_path: Path) -> None:
    few = json.loads(make(tmp_path, "train", size=10, seed=3).read_text())
    assert few == json.loads((root / "train.json").read_text())[:10]


def test_made_once_and_again_only_for_other_settings(tmp_path: Path) -> None:
    path = make(tmp_path, "test", size=4, seed=0)
    picture = tmp_path / "media/test/000001.png"
    before = picture.stat().st_mtime_ns
    make(tmp_path, "test", size=4, seed=0, salient_share=0.5)  # counts for sft alone
    assert picture.stat().st_mtime_ns == before
    make(tmp_path, "test", size=2, seed=0)
    assert picture.stat().st_mtime_ns != before and len(json.loads(path.read_text())) == 2
    assert not (tmp_path / "media/test/000004.mp4").exists()


def test_interrupted_making_is_made_anew(tmp_path: Path) -> None:
    path = make(tmp_path, "test", size=4, seed=0)
    whole = path.read_text()
    (tmp_path / "test.settings.json").unlink()
    path.write_text("[")
    assert make(tmp_path, "test", size=4, seed=0).read_text() == whole


def scenes(split: str, seed: int, size: int = 150, world: World | None = None) -> list[str]:
    settings = Settings(split, size, seed, world or World(4, 3, 8, 4), 0.25, 0.0, 0.0)
    return [scene_key(compose(index, settings)[0]) for index in range(size)]


def test_no_scene_is_in_two_splits_even_of_different_seeds() -> None:
    tight = World(2, 3, 8, 0)  # two objects on four cells: without the rule, splits would share scenes
    made = {split: set(scenes(split, seed, world=tight)) for split, seed in zip(SIZES, (0, 0, 0, 1), strict=True)}
    for one in made:
        for other in made:
            assert one == other or not made[one] & made[other]


def test_split_of_a_scene_ignores_jitter_and_tint() -> None:
    scene = compose(0, Settings("train", 1, 0, World(4, 3, 8, 4), 0.0, 0.0, 0.0))[0]
    shifted = replace(scene, background=(1, 2, 3), items=tuple(replace(i, dx=i.dx + 1) for i in scene.items))
    assert scene_key(shifted) == scene_key(scene) and split_of(shifted) == "train"


def test_sft_is_wrong_about_the_salient_object_as_often_as_asked(root: Path) -> None:
    examples = [e for e in load(root, "sft") if not e.question.startswith("List")]
    wrong = []
    for example in examples:
        if example.media[0].kind == "image":
            seen = picture_of(example)
            wrong.append(picture_answer(example, seen, 4) != said(example))
        else:
            wrong.append(clip_answer(example, slots_of(example)) != said(example))
    assert 0.33 < np.mean(wrong) < 0.6


def test_a_wrong_entry_is_consistently_about_the_salient_object() -> None:
    settings = Settings("sft", 80, 0, World(4, 3, 8, 4), 0.25, 1.0, 0.0)
    for index in range(settings.size):
        scene, question, reply = compose(index, settings)
        salient = scene.items[1]
        name = salient.color if salient.text else salient.shape
        assert reply == question.salient and f"the {name} " in reply.thought and name not in question.text.split()
        if scene.moves:
            assert f"the {salient.shape}" in reply.thought
        if question.options:
            (chosen,) = [o[3:] for o in question.options if o[0] == reply.answer]
            assert chosen in reply.thought.split()


def test_listing_names_everything_in_order(root: Path) -> None:
    listed = [e for e in load(root, "sft") if e.question.startswith("List")]
    assert 0.18 < len(listed) / SIZES["sft"] < 0.42
    for example in listed:
        assert example.thought is not None and example.evidence == () and example.problem_type == "free-form"
        if example.media[0].kind == "video":
            wanted = [f"{item.shape} {way}" for item, way in seen_moves(slots_of(example))]
        else:
            seen = picture_of(example)
            wanted = [f"column {s.col + 1} {s.color} {s.shape} {s.text}".rstrip() for s in seen]
        assert example.thought == ", ".join(wanted)
        assert example.answer.split()[0] == str(len(wanted))


def test_only_sft_has_thoughts(root: Path, train: list[Example]) -> None:
    assert all(e.thought for e in load(root, "sft")) and not any(e.thought for e in train)


def test_thought_names_the_asked_thing_and_leads_to_the_answer(tmp_path: Path) -> None:
    for example in source("sft", root=tmp_path, sizes={"sft": 60}, seed=0):
        assert example.thought is not None
        if example.problem_type != "regression":
            assert set(said(example).split()) <= set(re.findall(r"\w+", example.thought)), example


@pytest.mark.parametrize("grid, frame_count, distractors", [(2, 8, 1), (6, 12, 0)])
def test_other_knobs(tmp_path: Path, grid: int, frame_count: int, distractors: int) -> None:
    examples = source(
        "train", root=tmp_path, sizes={"train": 16}, seed=0, grid=grid, clip_grid=4, frames=frame_count,
        distractors=distractors, clip_share=0.5,
    )  # fmt: skip
    for example in examples:
        shape = frames(example).shape
        wanted = (
            (frame_count, 4 * CELL, 4 * CELL, 3) if example.media[0].kind == "video" else (1, *[grid * CELL] * 2, 3)
        )
        assert shape == wanted


def test_clip_comes_back_as_it_was_drawn(tmp_path: Path) -> None:
    settings = Settings("train", 4, 0, World(4, 3, 8, 4), 0.25, 0.0, 0.0)
    example = source("train", root=tmp_path, sizes={"train": 4}, seed=0)[3]
    drawn = np.stack([np.asarray(frame) for frame in frames_of(compose(3, settings)[0])]).astype(int)
    assert np.abs(frames(example) - drawn).mean() < 4
    assert READER.read(example.media[0]).seconds_per_frame == 1.0


@pytest.mark.parametrize(
    "knob, value",
    [("grid", 1), ("distractors", 5), ("frames", 7), ("frames", 6), ("clip_grid", 2), ("clip_share", 1.5), ("size", 0)],
)
def test_knobs_that_cannot_work_are_named(tmp_path: Path, knob: str, value: float) -> None:
    arguments: dict[str, object] = {"size": 4, "seed": 0, knob: value}
    with pytest.raises(UserError, match=f"field '{knob}': {value} does not work; write"):
        make(tmp_path, "train", **arguments)  # type: ignore[arg-type]


def test_unknown_split_and_missing_size(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="field 'split': 'dev' does not work; write one of sft, train"):
        make(tmp_path, "dev", size=1, seed=0)
    with pytest.raises(UserError, match="no size for split 'test'"):
        source("test", root=tmp_path, sizes={"train": 3}, seed=0)


def test_root_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write to .*file/data"):
        make(tmp_path / "file" / "data", "train", size=1, seed=0)


def test_limit(tmp_path: Path) -> None:
    assert len(source("train", root=tmp_path, sizes={"train": 6}, seed=0, limit=2)) == 2
    with pytest.raises(UserError, match="limit 0 leaves no entries"):
        source("train", root=tmp_path, sizes={"train": 6}, seed=0, limit=0)


def test_answers_are_spread(train: list[Example]) -> None:
    """No constant answer is right for more than half of the entries of one type."""
    for name in PROBLEM_TYPES:
        answers = [e.answer for e in train if e.problem_type == name]
        most = max(answers.count(answer) for answer in set(answers))
        assert most / len(answers) < 0.5, (name, random.sample(answers, 5))


def test_free_form_share_turns_entries_into_descriptions(tmp_path: Path) -> None:
    """Half of the entries plus one turn in five or four of the rest; every type still occurs."""
    entries = json.loads(make(tmp_path, "train", size=120, seed=0, free_form_share=0.5).read_text())
    types = [e["problem_type"] for e in entries]
    assert 0.48 < types.count("free-form") / len(types) < 0.75
    assert len(set(types)) == 5
    none = json.loads(make(tmp_path / "none", "train", size=120, seed=0).read_text())
    assert [e["problem_type"] for e in none].count("free-form") < 0.3 * len(none)


@pytest.mark.parametrize(
    "name, message",
    [
        ("/nope", "in /, the root of the disk"),
        ("/nope/data", "in /nope, a folder that does not exist"),
        ("{tmp}/gone/data", "gone, a folder that does not exist"),
        ("{tmp}/other", "a folder that holds something else"),
        ("{tmp}/file", "and it is a file; to read data of your own, write dataset=jsonl dataset.path={tmp}/file"),
        ("{tmp}/new.jsonl", "there is no such file; to read data of your own, write dataset=jsonl dataset.path"),
        ("../../../../../../../../../nope", "the root of the disk"),
    ],
)
def test_data_are_not_made_just_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "train.json").write_text("[]")
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    root = Path(name.format(tmp=tmp_path))
    with pytest.raises(UserError, match=re.escape(message.format(tmp=tmp_path))) as caught:
        source("train", root=root, sizes={"train": 2}, seed=0)
    assert str(caught.value).startswith(
        f"{root}: is where the data of visual_search would be made"
    ) and "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before and not Path("/nope").exists()


def test_data_are_made_where_they_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a new or an empty folder, below the current one however deep, and beside its own splits."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for root in (Path("outputs/data/new"), tmp_path / "deep" / "er", tmp_path / "empty"):
        make(root, "train", size=1, seed=0)
        (root / "notes.txt").touch()
        assert make(root, "validation", size=1, seed=0).exists()


def test_a_making_that_fails_or_loses_media_is_not_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(scene: Any, path: Path) -> None:
        if path.stem.endswith("3"):
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        path.write_bytes(b"whole")

    with monkeypatch.context() as patched:
        patched.setattr("ral.worlds.visual_search.write_picture", full)
        with pytest.raises(UserError, match=r"cannot write to .*: No space left on device; write another root"):
            make(tmp_path, "train", size=4, seed=0)
    assert not (tmp_path / "media" / "train").exists() and not list(tmp_path.glob("*.json"))
    make(tmp_path, "train", size=4, seed=0)
    (tmp_path / "media" / "train" / "000002.png").unlink()
    make(tmp_path, "train", size=4, seed=0)
    assert (tmp_path / "media" / "train" / "000002.png").stat().st_size > 50
