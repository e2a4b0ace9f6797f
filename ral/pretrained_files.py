"""Whether the folder of a pretrained model can be one, read from names alone: no torch, an answer in a moment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ral.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def check_folder(pretrained: str, key: str = "model.pretrained") -> None:
    """UserError where a folder that `key` names is not there or holds no config.json. A hub id passes."""
    path = Path(pretrained).expanduser()
    path = ROOT / path if not path.exists() and (ROOT / path).exists() else path
    if not path.exists():
        if not HUB_ID.fullmatch(pretrained) or path.parent.is_dir():
            raise UserError(f"{key}={pretrained}: no such folder; write a folder that holds a config.json, or a hub id")
    elif not (path / "config.json").is_file():
        raise UserError(f"{key}={pretrained}: no config.json in it; write the folder of a model")


def check_named(cfg: Mapping[str, Any]) -> None:
    """UserError where a folder that a training configuration names cannot be what it has to be."""
    check_folder(str(cfg["model"]["pretrained"]))
    if cfg["algo"].get("teacher") is not None:
        check_folder(str(cfg["algo"]["teacher"]), "model.teacher")
