"""Questions of synthetic benchmarks: held-out scenes of `visual_search`, in a form for any benchmark's schema."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ral.worlds.draw import render
from ral.worlds.questions import CLIP_TEMPLATES, PICTURE_TEMPLATES, World
from ral.worlds.scene import Scene
from ral.worlds.visual_search import Settings, compose

SEED = 7
"""Seed of the scenes. They are of the split "test", on which no stage trains."""
WORLD = World(grid=4, clip_grid=3, frames=8, distractors=3)
COLOR, LOOKS, COUNT = 0, 1, 2
"""Indices of PICTURE_TEMPLATES: questions for a colour (options), for a description (open), for a number (open)."""
FIRST_WAY, MOVES = 0, 1
"""Indices of CLIP_TEMPLATES: a choice of directions, a number."""


@dataclass(frozen=True)
class Asked:
    """One question about a scene. options: without their letters; () for an open question.

    answer: its text, not its letter.
    """

    scene: Scene
    text: str
    options: tuple[str, ...]
    answer: str

    @property
    def letter(self) -> str:
        """Return the letter of the right option. ValueError for an open question."""
        return "ABCDEFGHIJ"[self.options.index(self.answer)]

    @property
    def bracketed(self) -> str:
        """Return the options with their letters, as in `(A) red`, one a line."""
        return "\n".join(f"({letter}) {word}" for letter, word in zip("ABCDEFGHIJ", self.options, strict=False))


def ask(turn: int, count: int, first: int, clips: bool = False) -> list[Asked]:
    """Return questions number `first` to `first + count - 1` of the template with index `turn`.

    Each benchmark passes a `first` of its own, so that no two share a scene. clips: whether the questions are about
    videos, of CLIP_TEMPLATES; else about images, of PICTURE_TEMPLATES.
    """
    settings = Settings("test", 1, SEED, WORLD, float(clips), 0.0, 0.0)
    every = len(CLIP_TEMPLATES if clips else PICTURE_TEMPLATES)
    return [_asked(every * number + turn, settings) for number in range(first, first + count)]


def _asked(index: int, settings: Settings) -> Asked:
    scene, question, reply = compose(index, settings)
    words = {option[0]: option[3:] for option in question.options}
    return Asked(scene, question.text, tuple(words.values()), words.get(reply.answer, reply.answer))


def png(scene: Scene) -> dict[str, Any]:
    """Return a scene as an image cell of the hub's parquet files: {"bytes": PNG, "path": None}."""
    return stored(render(scene.items, scene.grid, scene.background))


def stored(picture: Image.Image) -> dict[str, Any]:
    """Return an image as a cell of the hub's parquet files: {"bytes": PNG, "path": None}."""
    content = io.BytesIO()
    picture.save(content, "PNG")
    return {"bytes": content.getvalue(), "path": None}


def write_rows(file: Path, rows: Sequence[Mapping[str, Any]], pictures: Sequence[str] = ()) -> None:
    """Write rows as a parquet file. A column that a row lacks is null in that row.

    pictures: names of columns that hold one image, or a list of images.
    """
    import datasets  # takes a second, so only where it is used
    from datasets import Dataset, List

    datasets.disable_progress_bars()
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = Dataset.from_dict({name: [row.get(name) for row in rows] for name in names})
    for name in pictures:
        several = any(isinstance(row.get(name), list) for row in rows)
        table = table.cast_column(name, List(datasets.Image()) if several else datasets.Image())
    file.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(file)
