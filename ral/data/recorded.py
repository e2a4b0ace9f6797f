"""Media in evaluation records, as JSON: a path, and beside it the entry's settings for reading the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from ral.types import Example, Media, UserError

ASKED = tuple(f.name for f in fields(Media) if f.name not in ("kind", "path", "data", "frames"))
"""Fields of `Media` that are settings for reading."""


def reading(media: Media) -> dict[str, Any]:
    """Return the settings by which a medium is read; {} for a whole file.

    frames: paths of the images of a video. in_entry: True for bytes that stand in the entry, which are not repeated.
    """
    said: dict[str, Any] = {n: v for n in ASKED if (v := getattr(media, n)) is not None}
    if media.frames:
        said["frames"] = [str(path) for path in media.frames]
    if media.data is not None:
        said["in_entry"] = True
    return said


def recorded(kind: Literal["image", "video"], path: Path, said: Mapping[str, Any]) -> Media:
    """Return the medium of a record. said: its settings, as from `reading`.

    UserError where its pixels are not in a file, or `said` has an unknown key.
    """
    if said.get("in_entry"):
        raise UserError(f"{path}: stands in the entry itself, not in a file")
    unknown = said.keys() - {*ASKED, "frames"}
    if unknown:
        raise UserError(f"{path}: unknown fields of reading: {', '.join(sorted(unknown))}")
    numbers = {name: said[name] for name in ASKED if name in said}
    return Media(kind, path, frames=tuple(Path(str(frame)) for frame in said.get("frames", ())), **numbers)


def about(example: Example) -> dict[str, Any]:
    """Return the fields of a record that describe the question: id, type, media, text, options and gold answer."""
    said = [reading(medium) for medium in example.media]
    return {
        "uid": example.uid,
        "problem_type": example.problem_type,
        "data_type": example.media[0].kind if example.media else "text",
        "media": [str(m.path) for m in example.media],
        **({"reading": said} if any(said) else {}),
        "question": example.question,
        "options": list(example.options),
        "gold": example.answer,
    }
