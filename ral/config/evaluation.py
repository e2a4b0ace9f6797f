"""The configuration of an evaluation (conf/evaluate.yaml): its schema, its check. Nothing heavy is imported."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from ral.config.check import bind_targets, check_numbers, check_schema, check_servers, plain
from ral.config.schema import Node, Rollout
from ral.errors import UserError
from ral.files import run_folder
from ral.files.own_folder import as_folder
from ral.files.pretrained import check_folder
from ral.machine import check_alone

TYPES = ("auto", "float32", "bfloat16")


@dataclass
class Task:
    """Schema of a file of conf/benchmark, one benchmark; comments in the yaml explain its keys.

    `source`, `judge` and `summary` are `_target_` nodes.
    """

    path: str | None
    source: Node
    judge: Node
    summary: Node
    max_new_tokens: int
    paper: dict[str, float]
    default_path: str | None = None
    template: str | None = None
    bare: bool = False
    as_trained: bool = False
    media: Node | None = None
    looks: int | None = None


@dataclass
class Benchmark:
    """Schema of benchmark in conf/evaluate.yaml. `check` checks each entry of `tasks` against `Task`."""

    path: str | None
    tasks: Node


@dataclass
class Media:
    """Schema of media in conf/evaluate.yaml: the fields of ral.data.media.MediaSettings that a user sets."""

    fps: float
    max_frames: int
    image_min_pixels: int
    image_max_pixels: int
    video_min_pixels: int
    video_max_pixels: int
    timeout_s: float | None


@dataclass
class Evaluate:
    """Schema of conf/evaluate.yaml, the configuration of an evaluation; comments in the yaml explain the keys."""

    checkpoint: str
    family: str | None
    limit: int | None
    batch: int
    template: str | None
    max_new_tokens: int | None
    greedy: bool
    temperature: float
    seed: int
    device: str
    dtype: str
    share_prompt: bool
    threads: int | None
    cache_gb: float
    disk_cache: str | None
    disk_cache_gb: float
    output: str
    debug: bool
    benchmark: Benchmark
    media: Media
    rollout: Rollout


def check(cfg: DictConfig) -> None:
    """Raise UserError for an evaluation's configuration with a problem: keys, types, numbers, servers, checkpoint,
    targets.

    Also where torchrun or srun started several processes. All but the targets is checked before torch is imported.
    """
    check_alone(os.environ, "evaluate.py")
    tree = plain(cfg)
    tasks = tree["benchmark"].get("tasks")
    if not tasks:
        raise UserError("benchmark: none is chosen: write benchmark=<name>, such as benchmark=vstar")
    check_numbers(cfg, tree)
    check_schema(tree, Evaluate)
    for name, task in tasks.items():
        check_schema(task, Task, f"benchmark.tasks.{name}.")
        media = tree["media"] | (task.get("media") or {})
        check_schema(media, Media, f"benchmark.tasks.{name}.media.")
    check_values(tree)
    check_servers(tree)
    check_checkpoint(tree["checkpoint"], tree["family"])  # before torch is imported, which takes seconds
    bind_targets(cfg)


def check_checkpoint(checkpoint: str, family: str | None) -> None:
    """Raise UserError for a folder that holds no whole model, and for a hub id whose model cannot be fetched.

    family: dotted path of a family of one's own, which may read any model type; None for the families of this package.
    """
    check_folder(checkpoint, "checkpoint", any_type=family is not None)


def check_values(tree: Mapping[str, Any]) -> None:
    """Raise UserError for a dtype that is none of TYPES."""
    if tree["dtype"] not in TYPES:
        raise UserError(f"dtype={tree['dtype']} is not supported: write {', '.join(TYPES)}")


def renamed(message: str, name: str, source: Mapping[str, Any], root: str | None = None) -> str:
    """Return a message on data with the settings of benchmark `name` in place of those of training that it names.

    source: the node `source` of the benchmark. Where it takes no media_root, benchmark.path is named instead: the media
    lie below it. root: media_root of the checkpoint's run, which the message then offers as the value; None where the
    run had none.
    """
    own = f"benchmark.tasks.{name}.source"
    parts = {own: source, f"{own}.read": source.get("read") or {}}
    key = next((f"{part}.media_root" for part, keys in parts.items() if "media_root" in keys), "benchmark.path")
    offered = {"dataset.media_root=<the folder that it starts from>": f"{key}={root}, as in training"} if root else {}
    here = {**offered, "dataset.media_root": key, "dataset.path": "benchmark.path", "dataset.media.": "media."}
    here |= {"dataset.disk_cache": "disk_cache", "dataset.source.": f"{own}."}
    for there, one in here.items():
        message = message.replace(there, one)
    return message


def claim(cfg: DictConfig) -> run_folder.Claim:
    """Lock the evaluation's folder, cfg.output, for this process. UserError where it is in use or cannot be used."""
    return run_folder.claim(as_folder(cfg.output, "output"), "output")
