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
    """<folder>/metrics.jsonl: all that is logged of a step is one object {"step": ..., key: value, ...}.

    Every call is on disk when it returns; more values of the same step rewrite the last line. first_step > 0 continues
    a file: lines of later steps are dropped, so that a resumed run reads as if it had never stopped.
    """

    def __init__(self, folder: Path, run_name: str = "", first_step: int = 0) -> None:
        super().__init__()
        self.path = folder / "metrics.jsonl"
        self.last: dict[str, Any] = {}
        self.offset = 0
        if rank_zero_only.rank == 0:
            self._start(first_step)

    def _start(self, first_step: int) -> None:
        """Keep the lines up to first_step."""
        lines = self.path.read_text().splitlines() if first_step and self.path.exists() else []
        kept = [record for record in map(parse, lines) if record and record["step"] <= first_step]
        text = "".join(json.dumps(record) + "\n" for record in kept)
        self.path.write_text(text)
        self.last = kept[-1] if kept else {}
        self.offset = len(text) - (len(json.dumps(self.last)) + 1 if kept else 0)

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
        """Write the values of a step, together with what is there of it already."""
        same = self.last.get("step") == step
        self.last = (self.last if same else {"step": step}) | dict(metrics)
        with self.path.open("r+") as file:
            self.offset = file.seek(self.offset) if same else file.seek(0, 2)
            file.write(json.dumps(self.last) + "\n")
            file.truncate()


def parse(line: str) -> dict[str, Any]:
    """The object of a line; {} for one that a killed run did not finish (only lines after its checkpoint can be)."""
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return {}


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
    logger = WandbLogger(name=run_name, project=project, save_dir=str(folder), offline=chosen == "offline")
    logger._wandb_init.pop("anonymous", None)  # Lightning passes a setting that wandb warns about
    return logger
