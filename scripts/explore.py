"""Writes a page on which the attention of answers is looked up, token by token: `--help` says more."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from ral.config.check import bind_targets, check_schema, plain
from ral.config.cli import run
from ral.config.schema import Dataset
from ral.errors import UserError
from ral.files import run_folder
from ral.files.pretrained import check_folder
from ral.machine import check_alone


@dataclass
class Settings:
    """conf/explore.yaml."""

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
    """UserError for a configuration that does not fit together."""
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
    bind_targets(cfg)


def main(cfg: DictConfig) -> None:
    """Ask, measure, write."""
    from ral.checks.explore import explore

    explore(cfg)


if __name__ == "__main__":
    run(main, "explore", check=check, claim=lambda c: run_folder.claim(Path(c.output), "output"), texts=["question"])
