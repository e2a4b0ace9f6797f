"""The folder of a training run, locked by what the configuration says of it."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from ral.config.check import plain
from ral.config.resuming import leaves
from ral.files import run_folder
from ral.files.removal import texts_of


def claim_run(cfg: DictConfig, folder: Path) -> run_folder.Claim:
    """Lock a folder for the training run of `cfg`.

    UserError where another process works in it, where it cannot be used, and where it holds a run that may not be
    removed or resumed, or a file that this run reads and overwrite=true would remove.
    """
    overwrite = bool(cfg.get("overwrite", False))
    return run_folder.claim_for_run(folder, cfg.resume, overwrite, lambda: texts_of(leaves(plain(cfg))))
