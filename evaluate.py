"""Scores a model on benchmarks: `python evaluate.py checkpoint=FOLDER benchmark=vstar`. `--help` says more."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ral.config.check import bind_targets, check_numbers, check_schema, check_servers, plain
from ral.config.cli import run
from ral.config.schema import Node, Rollout
from ral.errors import UserError
from ral.files import run_folder
from ral.files.pretrained import check_folder
from ral.machine import check_alone

if TYPE_CHECKING:
    from omegaconf import DictConfig

TYPES = ("auto", "float32", "bfloat16")


@dataclass
class Task:
    """conf/benchmark: one benchmark. `source`, `judge` and `summary` are `_target_` nodes."""

    path: str | None
    source: Node
    judge: Node
    summary: Node
    max_new_tokens: int
    paper: dict[str, float]
    default_path: str | None = None
    template: str | None = None
    bare: bool = False
    media: Node | None = None


@dataclass
class Benchmark:
    """conf/evaluate.yaml, benchmark: tasks are checked one by one."""

    path: str | None
    tasks: Node


@dataclass
class Media:
    """conf/evaluate.yaml, media: the fields of ral.data.media.MediaSettings that a user sets."""

    fps: float
    max_frames: int
    image_min_pixels: int
    image_max_pixels: int
    video_min_pixels: int
    video_max_pixels: int
    timeout_s: float | None


@dataclass
class Evaluate:
    """conf/evaluate.yaml."""

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
    """UserError for a configuration that does not fit together; nothing heavy is imported before that is known."""
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
    """UserError for a folder that holds no model; one of a family from outside is looked at once that is imported."""
    check_folder(checkpoint, "checkpoint", any_type=family is not None)


def check_values(tree: Mapping[str, Any]) -> None:
    """UserError for values out of range."""
    if tree["dtype"] not in TYPES:
        raise UserError(f"dtype={tree['dtype']} is not supported: write {', '.join(TYPES)}")


def main(cfg: DictConfig) -> None:
    """Evaluate what a valid configuration describes."""
    check_checkpoint(str(cfg.checkpoint), cfg.family)  # a wrong folder is told before torch is imported
    from ral.evaluate import evaluate

    evaluate(cfg)


def claim(cfg: DictConfig) -> run_folder.Claim:
    """Make the folder this evaluation's own, while it is at work."""
    return run_folder.claim(Path(cfg.output), "output")


if __name__ == "__main__":
    run(main, "evaluate", check=check, claim=claim)
