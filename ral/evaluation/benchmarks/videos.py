"""The videos of a benchmark's downloaded folder, wherever the published archives were unpacked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ral.data.fields import VIDEO_SUFFIXES
from ral.types import Media, UserError


class Clips:
    """Index, by file name, of the videos below the folder `root`.

    expected: the layout in words, for the UserError that is raised where there is no video at all. A video that is
    missing gets the path where it should be, so that only its own item cannot be asked.
    """

    def __init__(self, root: str | Path, expected: str) -> None:
        self.root = Path(root).expanduser().absolute()
        self.by_stem: dict[str, Path] = {}
        for folder, _, names in os.walk(self.root, followlinks=True):
            for name in sorted(names):
                stem, suffix = os.path.splitext(name)
                if suffix.lower() in VIDEO_SUFFIXES:
                    self.by_stem.setdefault(stem, Path(folder, name))
        if not self.by_stem:
            raise UserError(f"{self.root}: no clip in it or below; expected {expected}; unpack the archives there")

    def named(self, name: str) -> Media:
        """Return the video with a file name, in whatever folder it lies. name: with or without its suffix."""
        bare = Path(name)
        stem = bare.stem if bare.suffix.lower() in VIDEO_SUFFIXES else bare.name
        return Media("video", self.by_stem.get(stem, self.root / f"{stem}.mp4"))

    def at(self, name: str, folders: Sequence[str]) -> Media:
        """Return the video at the path `name` below the first of `folders` that has it.

        It serves benchmarks whose folders have videos of the same name.
        """
        places = [self.root / folder / name for folder in folders]
        return Media("video", next((place for place in places if place.is_file()), places[0]))
