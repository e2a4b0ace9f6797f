"""Reads every entry of a dataset as a run would, and lists what a run would skip: `--help` says more.

python scripts/check_dataset.py dataset=video_r1 dataset.path=FILE dataset.media_root=FOLDER
"""

from __future__ import annotations

import installed  # noqa: F401

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ral.config.check import bind_targets, check_numbers, check_schema, plain
from ral.config.cli import run
from ral.config.schema import Dataset, Model
from ral.machine import check_alone

if TYPE_CHECKING:
    from omegaconf import DictConfig


@dataclass
class Settings:
    """conf/check.yaml."""

    dataset: Dataset
    model: Model
    splits: list[str] | None
    workers: int | None
    strict: bool
    debug: bool


def check(cfg: DictConfig) -> None:
    """UserError for a configuration that does not fit together."""
    check_alone(os.environ, "scripts/check_dataset.py")
    tree = plain(cfg)
    check_numbers(cfg, tree)
    check_schema(tree, Settings)
    bind_targets(cfg)


def main(cfg: DictConfig) -> None:
    """Scan, print the tables, write the list."""
    from ral.checks.dataset import scan_dataset

    scan_dataset(cfg)


if __name__ == "__main__":
    run(main, "check", check=check)
