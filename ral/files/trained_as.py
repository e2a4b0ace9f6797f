"""Prompt template, media settings and length limit of a model's training, read from the config.yaml of its run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ral.files.repository import CONF, ROOT, find

MADE_FOR = {
    "tiny": "visual_search",
    "tiny_teacher": "visual_search",
    "path_student": "visual_path",
    "path_teacher": "visual_path",
    "path_wide_student": "visual_path",
    "path_wide_teacher": "visual_path",
}
"""Folder in assets/ -> the option of conf/dataset that this shipped model was trained on."""
MEDIA = ("fps", "max_frames", "image_min_pixels", "image_max_pixels", "video_min_pixels", "video_max_pixels")
"""Settings of media that decide which frames and pixels a model gets."""


UNSET = ("?", "$")
"""Beginnings of a value of a yaml that is still to be set, or stands elsewhere."""
FILES, SIZE = ("path", "validation_path"), "validation_size"
"""Settings of a dataset that name its files, and that of `source` which says how many entries are held out."""


@dataclass(frozen=True)
class TrainedAs:
    """Settings by which prompts were made in a model's training. source: the file that holds these settings.

    template: the template of the prompts. templates: {"think": ..., "zero": ...}, those with and without a think block.
    thinking: whether prompts asked for a think block. media: {setting of MEDIA: value}. max_new_tokens: length limit of
    a response. files: {setting of FILES: absolute path} of the data. data: {"media_root" or "validation_size": value},
    by which these files are read.
    """

    source: Path
    template: str
    templates: Mapping[str, str]
    thinking: bool
    media: Mapping[str, Any]
    max_new_tokens: int
    files: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)

    def read_by(self, path: str | None) -> dict[str, Any]:
        """Return {setting: value} by which the training read the file `path`: `data`, and for dataset.path also the
        validation_path. {} for None, and for a path that is none of `files`.
        """
        names = [name for name, own in self.files.items() if path is not None and own == _absolute(path)]
        held_out = {"validation_path": self.files[FILES[1]]} if names[:1] == [FILES[0]] and len(self.files) > 1 else {}
        return {**self.data, **held_out} if names else {}


def trained_as(checkpoint: str) -> TrainedAs | None:
    """Return how prompts were made in a model's training; None where that is not known, as for a hub id.

    checkpoint: the model's folder or hub id. The settings are those of config.yaml beside the folder, where a run wrote
    it, or for a shipped model those of its option in conf/dataset.
    """
    folder = Path(find(checkpoint)).absolute()
    run = folder.parent / "config.yaml"
    if folder.is_dir() and run.is_file():
        return _of(run, _mapping(run))
    if folder.parent == ROOT / "assets" and folder.name in MADE_FOR:
        own = CONF / "dataset" / f"{MADE_FOR[folder.name]}.yaml"
        shared, dataset = _mapping(CONF / "dataset" / "shared" / "entries.yaml"), _mapping(own)
        media = {**_part(shared, "media"), **_part(dataset, "media")}
        return _of(own, {"dataset": {**shared, **dataset, "media": media}, "algo": {"thinking": True}})
    return None


def trained_as_first(*checkpoints: str | None) -> TrainedAs | None:
    """Return the settings of `trained_as` for the first of several models for which they are known; None where they are
    known for none.

    checkpoints: the model after a training, then the one before it. None and "" name no model.
    """
    known = (trained_as(checkpoint) for checkpoint in checkpoints if checkpoint)
    return next((found for found in known if found is not None), None)


def _of(source: Path, config: Mapping[str, Any]) -> TrainedAs | None:
    """Return the settings in a run's configuration; None where it lacks the template, media or length limit."""
    dataset, algo = _part(config, "dataset"), _part(config, "algo")
    templates, media, limit = _part(dataset, "templates"), _part(dataset, "media"), dataset.get("max_new_tokens")
    thinking = bool(algo.get("thinking", True))
    template = templates.get("think" if thinking else "zero")
    known = {key: media[key] for key in MEDIA if media.get(key) is not None}
    if template is None or not known or limit is None:
        return None
    named = {key: str(dataset.get(key) or "") for key in FILES}
    files = {key: _absolute(path) for key, path in named.items() if path and not path.startswith(UNSET)}
    given = {"media_root": dataset.get("media_root"), SIZE: _part(dataset, "source").get(SIZE)}
    data = {key: value for key, value in given.items() if value is not None}
    worded = {k: str(v) for k, v in templates.items()}
    return TrainedAs(source, str(template), worded, thinking, known, int(limit), files, data)


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def _mapping(path: Path) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _part(tree: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = tree.get(key)
    return found if isinstance(found, dict) else {}


def said(template: str, media: Mapping[str, Any], kinds: tuple[str, ...] = ("image", "video")) -> str:
    """Return a template and the numbers of pixels in words. kinds: the media that are named, "image" and "video"."""
    names = {"image": "pictures", "video": "frames"}
    areas = [f"{names[k]} of {media[f'{k}_min_pixels']:,} to {media[f'{k}_max_pixels']:,} pixels" for k in kinds]
    return ", ".join([f"template={template}", *areas])


def differences(trained: TrainedAs, template: str, media: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return (setting, value in training, value here) of the template and each setting of MEDIA that differ.

    template, media: the settings here. A setting that `media` lacks is not compared.
    """
    pairs: list[tuple[str, Any, Any]] = [("template", trained.template, template)]
    pairs += [(key, value, media.get(key)) for key, value in trained.media.items() if key in media]
    return [(key, there, here) for key, there, here in pairs if there != here]
