"""The policy's weights as files that an engine reads: whole, with adapters added in, a bucket at a time."""

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
"""Bytes of weights that are gathered before they are written."""
MEMORY = Path("/dev/shm")
"""Files there lie in main memory."""


def named_weights(policy: MLLM, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    """Yield the weights by Transformers' names, in main memory, each gathered by itself; every rank must iterate.

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
    """Return a weight that may be sharded as one tensor, without graph."""
    value = parameter.detach()
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def buckets(policy: MLLM, dtype: torch.dtype, size: int = BUCKET) -> Iterator[dict[str, Tensor]]:
    """Yield weights by name, some `size` bytes of them at a time."""
    held, total = {}, 0
    for name, value in named_weights(policy, dtype):
        held[name], total = value.contiguous(), total + value.nbytes
        if total >= size:
            yield held
            held, total = {}, 0
    if held:
        yield held


def write_weights(policy: MLLM, dtype: torch.dtype, folder: Path, writes: bool) -> list[Path]:
    """Write the weights to a folder in place of those there; return the files. writes: whether this rank does.

    Every rank must call it; the others gather and wait. UserError where the folder is full.
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
    """Write a bucket; return what went wrong, as one line, or None."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(bucket, file)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        return f"rollout.engine.folder: {file.parent} cannot hold the weights ({reason}): name a folder with more room"
    return None


def on_all_ranks(error: str | None) -> None:
    """Wait for all ranks; raise UserError on each where one has an error to tell."""
    found = [error]
    if dist.is_available() and dist.is_initialized():
        found = [None] * dist.get_world_size()
        dist.all_gather_object(found, error)
    if told := [each for each in found if each]:
        raise UserError(told[0])


def first_of_node() -> bool:
    """Tell whether this rank is the one of its machine that writes."""
    return int(os.environ.get("LOCAL_RANK", 0)) == 0


def make_folder(root: str | None) -> Path:
    """Return the path of a run's weights, the same on every rank. root: where it lies; None for main memory."""
    base = Path(root) if root else MEMORY if MEMORY.is_dir() else Path(tempfile.gettempdir())
    name = [f"ral-weights-{os.getpid()}-{os.urandom(4).hex()}"]
    if dist.is_available() and dist.is_initialized():
        dist.broadcast_object_list(name)
    return base / name[0]
