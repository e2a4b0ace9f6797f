"""The configuration of a knockout (conf/knockout.yaml): its schema, its check. Nothing heavy is imported."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from ral.config.check import bind_targets, check_schema, plain
from ral.config.schema import Dataset
from ral.errors import UserError
from ral.files import run_folder
from ral.files.own_folder import as_folder
from ral.files.pretrained import check_folder
from ral.machine import check_alone

CHOICES = {"cut": ("evidence", "placebo", "medium"), "parts": ("response", "question", "both")}


@dataclass
class Settings:
    """Schema of conf/knockout.yaml, the configuration of a knockout; comments in the yaml explain its keys."""

    checkpoint: str
    family: str | None
    dataset: Dataset
    split: str
    limit: int | None
    problem_types: list[str] | None
    data_types: list[str] | None
    thinking: bool
    cut: list[str]
    parts: list[str]
    layers: Any
    window: int
    draws: int
    seed: int
    batch: int
    device: str
    dtype: str
    share_prompt: bool
    threads: int | None
    output: str
    debug: bool


def check(cfg: DictConfig) -> None:
    """Raise UserError for a knockout's configuration with a problem: keys, types, numbers, choices, checkpoint,
    targets.

    Also where torchrun or srun started several processes.
    """
    check_alone(os.environ, "scripts/knockout.py")
    tree = plain(cfg)
    check_schema(tree, Settings)
    for key in ("limit", "batch", "draws", "window", "threads"):
        if tree[key] is not None and tree[key] < 1:
            raise UserError(f"{key}={tree[key]} is too small: write 1 or more")
    for key, known in CHOICES.items():
        if not tree[key] or not set(tree[key]) <= set(known):
            raise UserError(f"{key}=[{','.join(tree[key])}] is not known: write some of [{','.join(known)}]")
    if tree["dtype"] not in ("auto", "float32", "bfloat16"):
        raise UserError(f"dtype={tree['dtype']} is not supported: write auto, float32 or bfloat16")
    check_folder(tree["checkpoint"], "checkpoint", any_type=tree["family"] is not None)
    bind_targets(cfg)


def claim(cfg: DictConfig) -> run_folder.Claim:
    """Lock the knockout's folder, cfg.output, for this process. UserError where it is in use or cannot be used."""
    return run_folder.claim(as_folder(cfg.output, "output"), "output")
