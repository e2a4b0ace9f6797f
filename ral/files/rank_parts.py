"""Weights that a training program saved in parts, one of each rank: which program it was, and how to merge them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

_VERL = re.compile(r"model_world_size_(\d+)_rank_\d+\.pt")
_DEEPSPEED = re.compile(r"(?:zero_pp_rank_\d+_|bf16_zero_pp_rank_\d+_)?mp_rank_\d+_\w+_states\.pt")
_MERGED = "<a new folder>"
OTHERS = (".gguf", ".h5", ".msgpack", ".pt", ".pth")
"""Suffixes of weights in formats that are not read."""


def parts_of_ranks(path: Path) -> str | None:
    """Return the error for a model's folder whose weights were saved in parts by ranks; None where there are no parts.

    The parts may lie in `path`, in a folder of it, or above a `path` named huggingface. The error has the command that
    merges them: verl's, DeepSpeed's, or Accelerate's for parts as torch.distributed.checkpoint saves them.
    """
    near = [path, *([path.parent] if path.name == "huggingface" else []), *_inside(path)]
    return next((said for folder in near if (said := _parts_in(folder))), None)


def _inside(path: Path) -> list[Path]:
    return sorted(inner for inner in path.iterdir() if inner.is_dir() and os.access(inner, os.R_OK | os.X_OK))


def _parts_in(folder: Path) -> str | None:
    names = sorted(inner.name for inner in folder.iterdir())
    if found := _matching(_VERL, names):
        merge = f"python -m verl.model_merger merge --backend fsdp --local_dir {folder} --target_dir {_MERGED}"
        return _said(folder, found, merge)
    if found := _matching(_DEEPSPEED, names):
        return _said(folder, found, f"python {folder.parent / 'zero_to_fp32.py'} {folder.parent} {_MERGED}")
    if found := [name for name in names if name.endswith(".distcp")]:
        return _said(folder, found, f"accelerate merge-weights {folder} {_MERGED}")
    return None


def _matching(pattern: re.Pattern[str], names: Sequence[str]) -> list[str]:
    return [name for name in names if pattern.fullmatch(name)]


def _said(folder: Path, found: Sequence[str], merge: str) -> str:
    files = f"{len(found)} files such as {found[0]}" if len(found) > 1 else found[0]
    what = f"no whole weights, only parts that ranks saved ({files} in {folder})"
    return f"{what}; merge them first by {merge}, and write that folder"


def without_weights(path: Path, expected: str, otherwise: str) -> str:
    """Return the error for a model's folder without a file of weights that is read.

    expected: the name of the file that is missing. otherwise: the remedy where the folder holds no other weights.
    """
    if said := parts_of_ranks(path):
        return said
    others = [p.name for p in sorted(path.iterdir()) if p.suffix in OTHERS]
    which = f", only {others[0]}" if others else ""
    remedy = "write the folder of the safetensors model it was made from" if others else otherwise
    return f"the folder has no weights ({expected}){which}; {remedy}"
