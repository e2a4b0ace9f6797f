"""The configuration of the viewer's page (conf/explore.yaml): its schema, its check. Nothing heavy is imported."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from ral.config.check import bind_targets, check_schema, overridden, plain
from ral.config.schema import Dataset
from ral.errors import UserError
from ral.files import run_folder
from ral.files.own_folder import as_folder
from ral.files.pretrained import check_folder
from ral.machine import check_alone

OF_DATASETS = {
    "dataset.templates.think": "template",
    "dataset.templates.zero": "template",
    "dataset.max_new_tokens": "max_new_tokens",
    "dataset.media.max_frames": "max_frames",
    "dataset.media.image_min_pixels": "min_pixels",
    "dataset.media.image_max_pixels": "max_pixels",
    "dataset.media.video_min_pixels": "min_pixels",
    "dataset.media.video_max_pixels": "max_pixels",
}
"""Setting of a dataset's questions -> the setting that does the same for a question of one's own."""
OF_OWN = ("question", "evidence", *dict.fromkeys(OF_DATASETS.values()))
"""Settings that only a question of one's own (image=, video=) reads."""
OF_SPLITS = ("split", "limit", "thinking")
"""Settings that only the questions of a dataset read."""


@dataclass
class Settings:
    """Schema of conf/explore.yaml, the configuration of the viewer's page; comments in the yaml explain its keys."""

    checkpoint: str
    before: str | None
    run: str | None
    family: str | None
    image: str | None
    video: str | None
    question: str | None
    evidence: Any
    template: str | None
    max_frames: int | None
    min_pixels: int | None
    max_pixels: int | None
    max_new_tokens: int | None
    dataset: Dataset
    split: str
    limit: int
    thinking: bool
    queries: list[str]
    layers: Any
    max_mb: float
    device: str
    dtype: str
    share_prompt: bool
    threads: int | None
    output: str
    debug: bool


def check(cfg: DictConfig) -> None:
    """Raise UserError for a viewer's configuration with a problem: keys, types, numbers, queries, folders, targets.

    Also for settings without effect (`beside`), and where torchrun or srun started several processes.
    """
    check_alone(os.environ, "scripts/explore.py")
    tree = plain(cfg)
    check_schema(tree, Settings)
    for key in ("limit", "max_new_tokens", "max_mb", "threads"):
        if tree[key] is not None and tree[key] <= 0:
            raise UserError(f"{key}={tree[key]} is too small: write more than 0")
    if not tree["queries"] or not set(tree["queries"]) <= {"previous", "self"}:
        raise UserError(f"queries=[{','.join(tree['queries'])}] is not known: write some of [previous,self]")
    for key in [key for key in ("checkpoint", "before") if tree[key] is not None and not tree["run"]]:
        check_folder(tree[key], key, any_type=tree["family"] is not None)
    if line := beside(tree, overridden()):
        raise UserError(line)
    bind_targets(cfg)


def beside(tree: Mapping[str, Any], typed: Collection[str]) -> str | None:
    """Return a line for a typed setting that nothing reads here, with what to type instead; None where all are read.

    tree: the configuration, resolved. typed: keys of the command line. Questions come from `run`, from a file of one's
    own (`image`, `video`) or from the dataset; each reads other settings.
    """
    asks = next((key for key in ("run", "image", "video") if tree[key] is not None), "dataset")
    for key in sorted(typed):
        of_dataset, of_own = key in OF_SPLITS or key.partition(".")[0] == "dataset", key in OF_OWN
        if asks == "dataset" and of_own:
            names = [name for name, own in OF_DATASETS.items() if own == key]
            way = f"write {names[0]}=<value>" if names else f"leave out {key}"
            return f"{key} is of a picture or clip of your own, and the dataset asks: {way}, or add image=<file>"
        if asks != "dataset" and (of_dataset or (asks == "run" and (of_own or key in ("image", "video")))):
            own = OF_DATASETS.get(key) if asks != "run" else None
            way = f"write {own}=<value>" if own else f"leave out {key}"
            return f"{key} is not read where {asks}={tree[asks]} asks: {way}"
    return None


def claim(cfg: DictConfig) -> run_folder.Claim:
    """Lock the page's folder, cfg.output, for this process. UserError where it is in use or cannot be used."""
    return run_folder.claim(as_folder(cfg.output, "output"), "output")
