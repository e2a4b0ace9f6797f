"""The state of sharded networks on disk: each rank writes and reads its own part (torch.distributed.checkpoint)."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint import CheckpointException

from ral.types import UserError

FOLDER = "shards"
"""Folder of the parts of all ranks, inside a checkpoint folder."""


def write_shards(tree: dict[str, Any], folder: Path) -> None:
    """Write this rank's part of `tree` (nested dicts of tensors, sharded or whole); every rank must call it.

    OSError, on every rank, where one of them cannot write.
    """
    try:
        with quietly():
            dcp.save(tree, checkpoint_id=folder, no_dist=not distributed())
    except CheckpointException as error:
        raise OSError(first_line(error)) from error


def read_shards(tree: dict[str, Any], folder: Path) -> None:
    """Fill the tensors of `tree` in place with those that `write_shards` wrote, under the same or another sharding.

    Every rank must call it. UserError where the files are damaged or do not fit `tree`.
    """
    try:
        with quietly():
            dcp.load(tree, checkpoint_id=folder, no_dist=not distributed())
    except (CheckpointException, OSError, RuntimeError, ValueError, KeyError) as error:
        raise UserError(
            f"resume: {folder} cannot be read ({first_line(error)}); name another checkpoint folder"
        ) from error


def distributed() -> bool:
    """Tell whether this process is one of several."""
    return dist.is_available() and dist.is_initialized()


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message; for a CheckpointException, of the first rank's error in it."""
    causes = list(getattr(error, "failures", {}).values())
    cause = causes[0] if causes else error
    words = str(cause[0] if isinstance(cause, tuple) else cause).splitlines()
    return words[0] if words else type(cause).__name__


def quietly() -> Any:
    """Return a context that silences all warnings: DCP warns in a single process, and of its own deprecated parts."""
    return warnings.catch_warnings(action="ignore")


def own_checksums(folder: Path) -> dict[str, str]:
    """Return {path below the checkpoint folder: SHA-256} of the files that this rank wrote; on rank 0 also the index.

    folder: the checkpoint folder.
    """
    rank = dist.get_rank() if distributed() else 0
    files = [*(folder / FOLDER).glob(f"__{rank}_*"), *((folder / FOLDER).glob(".metadata") if rank == 0 else ())]
    return {str(file.relative_to(folder)): checksum(file) for file in files}


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
