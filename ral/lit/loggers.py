"""Loggers: metrics.jsonl, one object a step, and Weights & Biases, offline unless a key is configured."""

from __future__ import annotations

import json
import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only


class JsonLines(Logger):
    """Appends {"step": ..., key: value, ...} to <folder>/metrics.jsonl; all that is logged of a step is one object.

    first_step: lines of later steps are dropped at the start, so that a resumed run reads as if never stopped.
    """

    def __init__(self, folder: Path, run_name: str = "", first_step: int = 0) -> None:
        super().__init__()
        self.path = folder / "metrics.jsonl"
        self.pending: dict[str, Any] = {}
        if not first_step:
            self.path.unlink(missing_ok=True)
        elif self.path.exists():
            kept = [line for line in self.path.read_text().splitlines() if json.loads(line)["step"] <= first_step]
            self.path.write_text("".join(line + "\n" for line in kept))

    @property
    def name(self) -> str:
        return "jsonl"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """config.yaml holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Collect the values of a step; a new step writes the one before."""
        if self.pending and self.pending["step"] != step:
            self.save()
        self.pending = {"step": step} | self.pending | dict(metrics)

    @rank_zero_only
    def save(self) -> None:
        """Write what is collected."""
        if self.pending:
            with self.path.open("a") as file:
                file.write(json.dumps(self.pending) + "\n")
        self.pending = {}

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the last step."""
        self.save()


def has_key() -> bool:
    """Whether a W&B key is configured: in the environment or by `wandb login`."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (FileNotFoundError, netrc.NetrcParseError):
        return False


def wandb_logger(
    folder: Path, run_name: str, first_step: int = 0, *, project: str = "ral", mode: str = "auto"
) -> WandbLogger:
    """A W&B run below `folder`. mode auto: online with a key, offline without; WANDB_MODE in the environment wins."""
    if mode not in ("auto", "online", "offline"):
        raise ValueError(f"logger.wandb.mode is {mode!r}: write auto, online or offline")
    chosen = os.environ.get("WANDB_MODE") or (mode if mode != "auto" else "online" if has_key() else "offline")
    os.environ.setdefault("WANDB_SILENT", "true")
    return WandbLogger(name=run_name, project=project, save_dir=str(folder), offline=chosen == "offline")
