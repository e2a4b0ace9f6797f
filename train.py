"""Trains a model: `python train.py algo=ral model=qwen2vl`. `--help` lists what can be set."""

from __future__ import annotations

import ral.installed  # noqa: F401

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig

from ral.config.check import check, plain
from ral.config.claims import claim_run
from ral.config.cli import run
from ral.config.model_files import check_model_files
from ral.files import run_folder
from ral.machine import check_started

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ral.config.schema import Node


def main(cfg: DictConfig) -> float | None:
    """Train what a valid configuration describes; what a sweeper would optimise. With plan=true print its plan."""
    if cfg.plan:
        from ral.planning.command import plan

        return plan(plain(cfg))
    from ral.run import train  # imports torch, so only now

    return train(cfg)


def files(tree: Node) -> None:
    """Look at what a run needs on disk, and at what started it; a plan reads shapes alone, and starts nothing."""
    if not tree["plan"]:
        hardware = tree["hardware"]
        check_started(os.environ, hardware["devices"], hardware["num_nodes"], run_folder.RANK_VARIABLES)
        check_model_files(tree)


def claim(cfg: DictConfig) -> run_folder.Claim:
    """Make the folder the run's own. A plan may be of a run that is there: it leaves the folder as it was."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    return run_folder.claim(folder) if cfg.plan else claim_run(cfg, folder)


if __name__ == "__main__":
    run(main, "train", check=partial(check, files=files), claim=claim)
