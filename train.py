"""Trains a model: `python train.py algo=ral model=qwen2vl`. `--help` lists what can be set."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ral.cli import run
from ral.config import check
from ral.pretrained_files import check_named

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(cfg: DictConfig) -> float | None:
    """Train what a valid configuration describes; what a sweeper would optimise."""
    from ral.run import train  # imports torch, so only now

    return train(cfg)


if __name__ == "__main__":
    run(main, "train", check=partial(check, files=check_named))
