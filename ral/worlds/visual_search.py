"""`visual_search`: the default dataset, made locally, deterministic by seed, in Video-R1's JSON format.

Images show coloured shapes or signs on a grid; videos show which of three shapes moves where and when. One object, the
salient one, is always far larger than the asked one. Each entry has the field `evidence` beside Video-R1's own: the box
(fractions of width and height) and, for videos, the seconds on which the answer depends. Only the split "sft" has
`process`, may be answered about the salient object instead of the asked one (`salient_share`), and may ask for
everything (`list_share`). Entry i depends on seed, split, i and the other settings alone, not on the size: a smaller
split is the beginning of a larger one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from ral.data.entries import Entries
from ral.data.files import located
from ral.data.sources import read_file
from ral.types import UserError
from ral.worlds.draw import write_clip, write_picture
from ral.worlds.questions import (
    CLIP_TEMPLATES,
    FREE_FORM_OF_CLIPS,
    FREE_FORM_OF_PICTURES,
    PICTURE_TEMPLATES,
    Question,
    Reply,
    World,
    listing,
)
from ral.worlds.scene import CLIP_ITEMS, SHAPES, SPLIT_BUCKETS, Scene, split_of
from ral.worlds.splits import Draw, Split, write_split

VERSION = 1  # raise when the same settings give other files
SAME_ANSWER_SHARE = 0.25  # scenes kept among those where the salient object has the asked one's answer
MOST_ATTEMPTS = 10_000


@dataclass(frozen=True)
class Settings:
    """All settings that fix the bytes of one split. The fields are parameters of `make`."""

    split: str
    size: int
    seed: int
    world: World
    clip_share: float
    salient_share: float
    list_share: float
    free_form_share: float = 0.0

    def record(self) -> dict[str, Any]:
        """Return the content of the split's settings file."""
        return asdict(self) | {"version": VERSION}


def _require(ok: bool, field: str, value: object, write: str) -> None:
    if not ok:
        raise UserError(f"visual_search: field '{field}': {value!r} does not work; write {write}")


def check(settings: Settings) -> None:
    """Raise UserError for settings that no scene can satisfy."""
    world = settings.world
    _require(settings.split in SPLIT_BUCKETS, "split", settings.split, f"one of {', '.join(SPLIT_BUCKETS)}")
    _require(settings.size >= 1, "size", settings.size, "at least 1 entry")
    _require(world.grid >= 2, "grid", world.grid, "at least 2 cells")
    most = min(len(SHAPES), world.grid**2) - 2
    _require(0 <= world.distractors <= most, "distractors", world.distractors, f"0 to {most} for this grid")
    _require(world.clip_grid >= CLIP_ITEMS, "clip_grid", world.clip_grid, f"at least {CLIP_ITEMS} cells")
    _require(world.frames >= 8 and world.frames % 2 == 0, "frames", world.frames, "an even number from 8 on")
    for name in ("clip_share", "salient_share", "list_share", "free_form_share"):
        _require(0 <= getattr(settings, name) <= 1, name, getattr(settings, name), "a share from 0 to 1")


def is_clip(index: int, clip_share: float) -> bool:
    """Tell whether entry `index` is a video.

    clip_share: share of videos, in [0, 1], equal in every stretch of a split.
    """
    return int((index + 1) * clip_share) > int(index * clip_share)


def _draw(index: int, settings: Settings, rng: Random) -> tuple[Scene, Question] | None:
    """Return one try at entry `index`; None where its scene belongs to another split, or does not suit the question.

    Types of questions take turns, except for the share that is free-form.
    """
    clips = int(index * settings.clip_share)
    free_form = Random(f"{settings.seed}/{settings.split}/{index}/type").random() < settings.free_form_share
    if is_clip(index, settings.clip_share):
        turn = FREE_FORM_OF_CLIPS if free_form else clips % len(CLIP_TEMPLATES)
        made = CLIP_TEMPLATES[turn](rng, settings.world)
    else:
        turn = FREE_FORM_OF_PICTURES if free_form else (index - clips) % len(PICTURE_TEMPLATES)
        made = PICTURE_TEMPLATES[turn](rng, settings.world)
    if made is None or split_of(made[0]) != settings.split:
        return None
    same = made[1].right.answer == made[1].salient.answer
    return None if same and rng.random() > SAME_ANSWER_SHARE else made


def compose(index: int, settings: Settings) -> tuple[Scene, Question, Reply]:
    """Return the scene, the question and the reply of entry `index` (from 0).

    UserError where MOST_ATTEMPTS tries give no scene that suits.
    """
    for attempt in range(MOST_ATTEMPTS):
        rng = Random(f"{settings.seed}/{settings.split}/{index}/{attempt}")
        made = _draw(index, settings, rng)
        if made is not None:
            scene, question = made
            if rng.random() < settings.list_share:
                question = listing(scene)
            return scene, question, question.salient if rng.random() < settings.salient_share else question.right
    raise UserError(f"visual_search: no scene fits entry {index + 1} of split '{settings.split}'; allow more cells")


def _evidence(reply: Reply) -> list[dict[str, Any]]:
    if reply.box is None:
        return []
    return [{"box": [round(x, 6) for x in reply.box], "span": reply.span and list(reply.span)}]


def entry_of(index: int, settings: Settings) -> tuple[Scene, dict[str, Any]]:
    """Return entry `index` (from 0) of a split: its scene and its JSON object."""
    scene, question, reply = compose(index, settings)
    suffix = "mp4" if scene.moves else "png"
    entry: dict[str, Any] = {
        "problem_id": index + 1,
        "problem": question.text,
        "data_type": "video" if scene.moves else "image",
        "problem_type": question.problem_type,
        "options": list(question.options),
        "solution": f"<answer>{reply.answer}</answer>",
        "path": f"./media/{settings.split}/{index + 1:06d}.{suffix}",
        "data_source": "visual_search",
        "evidence": _evidence(reply),
    }
    if settings.split == "sft":
        entry["process"] = f"<think>{reply.thought}</think>"
    return scene, entry


def _drawn(index: int, settings: Settings) -> tuple[Draw, dict[str, Any]]:
    """Return the function that draws entry `index`, and its JSON entry."""
    scene, entry = entry_of(index, settings)
    return partial(write_clip if scene.moves else write_picture, scene), entry


def make(
    root: Path,
    split: str,
    *,
    size: int,
    seed: int,
    grid: int = 4,
    clip_grid: int = 3,
    frames: int = 8,
    distractors: int = 4,
    clip_share: float = 0.25,
    salient_share: float = 0.0,
    list_share: float = 0.0,
    free_form_share: float = 0.0,
) -> Path:
    """Write `root/<split>.json` and `root/media/<split>/`; return the JSON file.

    A split that was made with the same settings is left as it is; one with other settings is made anew.

    grid, clip_grid: cells a side of images and of videos. frames: number of frames of a video, even. distractors:
    greatest number of objects in an image besides the asked and the salient one; there may be up to two fewer.
    clip_share: share of videos. salient_share, list_share: share of entries answered about the salient object, and
    share that asks for everything; for "sft" alone, all other splits are right. free_form_share: share of entries that
    ask for a description, whatever their turn. Shares are in [0, 1]. UserError for settings that do not work, or a root
    that cannot be written.
    """
    shares = (salient_share, list_share) if split == "sft" else (0.0, 0.0)
    world = World(grid, clip_grid, frames, distractors)
    settings = Settings(split, size, seed, world, clip_share, *shares, free_form_share)
    check(settings)
    entry = partial(_drawn, settings=settings)
    return write_split(Path(root), Split("visual_search", split, size, settings.record(), entry))


def source(
    split: str,
    *,
    root: str | Path,
    sizes: Mapping[str, int],
    seed: int,
    grid: int = 4,
    clip_grid: int = 3,
    frames: int = 8,
    distractors: int = 4,
    clip_share: float = 0.25,
    salient_share: float = 0.0,
    list_share: float = 0.0,
    free_form_share: float = 0.0,
    limit: int | None = None,
) -> Entries:
    """Return the examples of a split, which is made first where it does not exist.

    sizes: {split: number of entries}. limit: first entries to keep, None for all. Other parameters: as in `make`.
    UserError for a split without a size, for settings that do not work, for a root that cannot be written.
    """
    if split not in sizes:
        raise UserError(f"visual_search: field 'sizes': no size for split '{split}'; write sizes.{split}: 100, say")
    path = make(
        located(root),
        split,
        size=sizes[split],
        seed=seed,
        grid=grid,
        clip_grid=clip_grid,
        frames=frames,
        distractors=distractors,
        clip_share=clip_share,
        salient_share=salient_share,
        list_share=list_share,
        free_form_share=free_form_share,
    )
    return read_file(path, limit=limit)
