"""Trains a model: `python train.py algo=ral model=qwen2vl`. `--help` lists what can be set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ral.cli import run

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(cfg: DictConfig) -> None:
    """Train what a valid configuration describes."""
    from ral.run import train  # imports torch, so only now

    train(cfg)


if __name__ == "__main__":
    run(main, "train")
