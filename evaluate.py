"""Scores a model on benchmarks: `python evaluate.py checkpoint=FOLDER benchmark=vstar`. `--help` says more."""

from __future__ import annotations

import ral.installed  # noqa: F401

from typing import TYPE_CHECKING

from ral.config.cli import run
from ral.config.evaluation import check, check_checkpoint, claim

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(cfg: DictConfig) -> None:
    """Evaluate what a valid configuration describes."""
    check_checkpoint(str(cfg.checkpoint), cfg.family)  # a wrong folder is told before torch is imported
    from ral.evaluating import evaluate

    evaluate(cfg)


if __name__ == "__main__":
    run(main, "evaluate", check=check, claim=claim)
