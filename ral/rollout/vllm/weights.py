"""The policy's weights as files for an engine: whole (not sharded), adapters merged, one bucket at a time."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor

from ral.models.adapters.lora import NAME, adapted
from ral.models.mllm import MLLM
from ral.models.sharding import reshard
from ral.types import UserError

BUCKET = 2**30
"""Number of bytes of weights that are gathered before they are written to a file."""
MEMORY = Path("/dev/shm")
"""Folder whose files are in main memory."""


def named_weights(policy: MLLM, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    """Yield (Transformers' name, weight in `dtype`, in main memory), each gathered by itself; every rank must iterate.

    A layer with an adapter has W + alpha / rank * B A. A weight that two modules share comes once.
    """
    reshard(policy)
    layers = adapted(policy.network)
    for name, parameter in policy.network.named_parameters():
        owner, _, rest = name.partition(".base_layer.")
        if ".lora_" in name:
            continue
        value = whole(parameter)
        if rest == "weight" and owner in layers:
            layer = layers[owner]
            a, b = (whole(side[NAME].weight).float() for side in (layer.lora_A, layer.lora_B))
            value = value.float() + layer.scaling[NAME] * (b @ a)
        yield f"{owner}.{rest}" if rest else name, value.to("cpu", dtype)


def whole(parameter: Tensor) -> Tensor:
    """Return a weight, gathered if it is sharded, as one tensor without graph; then every rank must call it."""
    value = parameter.detach()
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def buckets(policy: MLLM, dtype: torch.dtype, size: int = BUCKET) -> Iterator[dict[str, Tensor]]:
    """Yield dicts of weights by name, each of about `size` bytes; every rank must iterate."""
    held, total = {}, 0
    for name, value in named_weights(policy, dtype):
        held[name], total = value.contiguous(), total + value.nbytes
        if total >= size:
            yield held
            held, total = {}, 0
    if held:
        yield held


def write_weights(policy: MLLM, dtype: torch.dtype, folder: Path, writes: bool) -> list[Path]:
    """Write the weights to a folder, in place of its contents; return the files. writes: whether this rank writes.

    Every rank must call it; those that do not write gather and wait. UserError, on all ranks, where the folder is full.
    """
    files, error = [], None
    if writes:
        shutil.rmtree(folder, ignore_errors=True)
    for number, bucket in enumerate(buckets(policy, dtype)):
        files.append(folder / f"weights-{number:05d}.safetensors")
        if writes and error is None:
            error = written(bucket, files[-1])
    on_all_ranks(error)
    return files


def written(bucket: dict[str, Tensor], file: Path) -> str | None:
    """Write a bucket to a file; return an error as one line, None for none."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(bucket, file)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        return f"rollout.engine.folder: {file.parent} cannot hold the weights ({reason}): name a folder with more room"
    return None


def on_all_ranks(error: str | None) -> None:
    """Wait for all ranks; raise UserError on each of them where one has an error. error: this rank's; None for none."""
    found = [error]
    if dist.is_available() and dist.is_initialized():
        found = [None] * dist.get_world_size()
        dist.all_gather_object(found, error)
    if told := [each for each in found if each]:
        raise UserError(told[0])


def first_of_node() -> bool:
    """Tell whether this rank is the first of its machine, which writes."""
    return int(os.environ.get("LOCAL_RANK", 0)) == 0


def make_folder(root: str | None) -> Path:
    """Return the path of the folder of a run's weights, the same on every rank; it is not created.

    root: folder that holds it; None for main memory, or the folder for temporary files where there is no MEMORY.
    """
    base = Path(root) if root else MEMORY if MEMORY.is_dir() else Path(tempfile.gettempdir())
    name = [f"ral-weights-{os.getpid()}-{os.urandom(4).hex()}"]
    if dist.is_available() and dist.is_initialized():
        dist.broadcast_object_list(name)
    return base / name[0]
