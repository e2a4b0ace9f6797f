"""The videos of a benchmark's downloaded folder, wherever the published archives were unpacked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ral.data.fields import VIDEO_SUFFIXES
from ral.types import Media, UserError


class Clips:
    """Index of the videos below `root`, by file name. expected: the layout in words, for the error.

    UserError, one line, where there is no video at all. A video that is missing keeps the path where it was looked for
    first, so that its reader reports that item, and the others are asked.
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
        """Return the video of a file name, with or without suffix, in whatever folder it lies."""
        bare = Path(name)
        stem = bare.stem if bare.suffix.lower() in VIDEO_SUFFIXES else bare.name
        return Media("video", self.by_stem.get(stem, self.root / f"{stem}.mp4"))

    def at(self, name: str, folders: Sequence[str]) -> Media:
        """Return the video at the path `name` below the first of `folders` that has it: folders may share names."""
        places = [self.root / folder / name for folder in folders]
        return Media("video", next((place for place in places if place.is_file()), places[0]))
