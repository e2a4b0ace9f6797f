"""Prompt template, media settings and length limit of a model's training, read from files beside its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ral.files.repository import CONF, ROOT, find

MADE_FOR = {
    "tiny": "visual_search",
    "tiny_teacher": "visual_search",
    "path_student": "visual_path",
    "path_teacher": "visual_path",
}
"""Folder in assets/ -> the option of conf/dataset that this shipped model was trained on."""
MEDIA = ("fps", "max_frames", "image_min_pixels", "image_max_pixels", "video_min_pixels", "video_max_pixels")
"""Settings of media that decide which frames and pixels a model gets."""


@dataclass(frozen=True)
class TrainedAs:
    """Settings by which prompts were made in a model's training. source: the file that holds these settings.

    template: the template of the prompts; templates: {think: ..., zero: ...}; thinking: whether prompts asked for a
    think block; media: {setting of MEDIA: value}; max_new_tokens: length limit of a response.
    """

    source: Path
    template: str
    templates: Mapping[str, str]
    thinking: bool
    media: Mapping[str, Any]
    max_new_tokens: int


def trained_as(checkpoint: str) -> TrainedAs | None:
    """Return how prompts were made in a model's training, by the config.yaml of its run or for a shipped model.

    checkpoint: the model's folder or hub id. None where there is no such config.yaml, or it lacks these settings, and
    for a hub id.
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


def _of(source: Path, config: Mapping[str, Any]) -> TrainedAs | None:
    """Return the settings in a run's configuration; None where it lacks the template, media or length limit."""
    dataset, algo = _part(config, "dataset"), _part(config, "algo")
    templates, media, limit = _part(dataset, "templates"), _part(dataset, "media"), dataset.get("max_new_tokens")
    thinking = bool(algo.get("thinking", True))
    template = templates.get("think" if thinking else "zero")
    known = {key: media[key] for key in MEDIA if media.get(key) is not None}
    if template is None or not known or limit is None:
        return None
    return TrainedAs(source, str(template), {k: str(v) for k, v in templates.items()}, thinking, known, int(limit))


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
    """Return template and pixels in words. kinds: the media that are named."""
    names = {"image": "pictures", "video": "frames"}
    areas = [f"{names[k]} of {media[f'{k}_min_pixels']:,} to {media[f'{k}_max_pixels']:,} pixels" for k in kinds]
    return ", ".join([f"template={template}", *areas])


def differences(trained: TrainedAs, template: str, media: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return (setting, value in training, value here) of the template and each of MEDIA that differs.

    template, media: the settings here.
    """
    pairs: list[tuple[str, Any, Any]] = [("template", trained.template, template)]
    pairs += [(key, value, media.get(key)) for key, value in trained.media.items() if key in media]
    return [(key, there, here) for key, there, here in pairs if there != here]
