"""The policy's weights for an engine: whole (not sharded), adapters added in or left out, one bucket at a time."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
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
CPU = torch.device("cpu")


def named_weights(
    policy: MLLM, dtype: torch.dtype, device: torch.device = CPU, merge: bool = True
) -> Iterator[tuple[str, Tensor]]:
    """Yield (Transformers' name, weight in `dtype` on `device`), each gathered by itself; every rank must iterate.

    merge: a layer with an adapter has W + alpha / rank * B A; otherwise W, and adapters are left out. A weight that two
    modules share comes once.
    """
    reshard(policy)
    layers = adapted(policy.network)
    for name, parameter in policy.network.named_parameters():
        owner, _, rest = name.partition(".base_layer.")
        if ".lora_" in name:
            continue
        value = whole(parameter)
        if merge and rest == "weight" and owner in layers:
            layer = layers[owner]
            a, b = (whole(side[NAME].weight).float() for side in (layer.lora_A, layer.lora_B))
            value = value.float() + layer.scaling[NAME] * (b @ a)
        yield f"{owner}.{rest}" if rest else name, value.to(device, dtype)


def whole(parameter: Tensor) -> Tensor:
    """Return a weight, gathered if it is sharded, as one tensor without graph; then every rank must call it."""
    value = parameter.detach()
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def buckets(
    policy: MLLM, dtype: torch.dtype, size: int = BUCKET, device: torch.device = CPU, merge: bool = True
) -> Iterator[dict[str, Tensor]]:
    """Yield dicts of weights (`named_weights`) by name, each of about `size` bytes; every rank must iterate."""
    held, total = {}, 0
    for name, value in named_weights(policy, dtype, device, merge):
        held[name], total = value.contiguous(), total + value.nbytes
        if total >= size:
            yield held
            held, total = {}, 0
    if held:
        yield held


def write_weights(policy: MLLM, dtype: torch.dtype, folder: Path, writes: bool, merge: bool = True) -> list[Path]:
    """Write the weights to a folder, in place of its contents; return the files. writes: whether this rank writes.

    Every rank must call it; those that do not write gather and wait. UserError, on all ranks, where the folder is full.
    merge: as in `named_weights`.
    """
    files, error = [], None
    if writes:
        shutil.rmtree(folder, ignore_errors=True)
    for number, bucket in enumerate(buckets(policy, dtype, merge=merge)):
        files.append(folder / f"weights-{number:05d}.safetensors")
        if writes and error is None:
            error = written(bucket, files[-1])
    on_all_ranks(error)
    return files


def written(bucket: Mapping[str, Tensor], file: Path) -> str | None:
    """Write a bucket to a file; return an error as one line, None for none."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(dict(bucket), file)
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


def on_each_rank(call: Callable[[], object]) -> None:
    """Call a function on every rank and wait for all; UserError on each of them where one had a UserError."""
    error = None
    try:
        call()
    except UserError as raised:
        error = str(raised)
    on_all_ranks(error)


def on_any_rank(flag: bool) -> bool:
    """Tell whether a flag is True on one rank at least; every rank must call it."""
    found = [flag]
    if dist.is_available() and dist.is_initialized():
        found = [False] * dist.get_world_size()
        dist.all_gather_object(found, flag)
    return any(found)


def is_sharded(policy: MLLM) -> bool:
    """Tell whether a weight is held in parts by several ranks, so that one rank alone cannot gather it."""
    return any(hasattr(parameter, "full_tensor") for parameter in policy.network.parameters())


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
