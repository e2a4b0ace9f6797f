"""The policy's weights for an engine: gathered (not sharded), adapters merged in or left out, in buckets."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor

from ral.models.adapters.lora import NAME, adapted
from ral.models.mllm import MLLM
from ral.models.sharding import reshard
from ral.rollout.vllm.folders import main_memory, remove_stale
from ral.types import UserError

BUCKET = 2**30
"""Number of bytes of weights that are gathered before they are written to a file."""
CPU = torch.device("cpu")


def named_weights(
    policy: MLLM, dtype: torch.dtype, device: torch.device = CPU, merge: bool = True
) -> Iterator[tuple[str, Tensor]]:
    """Yield (name in Transformers, weight in `dtype` on `device`) of the policy; sharded weights are gathered.

    Every rank must iterate. merge: whether a layer with an adapter has W + alpha / rank * B A; else it has W, without
    the adapter. A weight shared by two modules comes once.
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
    """Return a weight as one tensor without autograd graph. Every rank must call this where the weight is sharded."""
    value = parameter.detach()
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def buckets(
    policy: MLLM, dtype: torch.dtype, size: int = BUCKET, device: torch.device = CPU, merge: bool = True
) -> Iterator[dict[str, Tensor]]:
    """Yield buckets {name: weight} of about `size` bytes each; every rank must iterate.

    dtype, device, merge: as in `named_weights`.
    """
    held, total = {}, 0
    for name, value in named_weights(policy, dtype, device, merge):
        held[name], total = value.contiguous(), total + value.nbytes
        if total >= size:
            yield held
            held, total = {}, 0
    if held:
        yield held


def write_weights(policy: MLLM, dtype: torch.dtype, folder: Path, writes: bool, merge: bool = True) -> list[Path]:
    """Write the weights as safetensors files to a folder, in place of its contents; return the paths of the files.

    writes: whether this rank writes. Every rank must call this function, as sharded weights are gathered. dtype, merge:
    as in `named_weights`. UserError, on all ranks, where a rank cannot write.
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
    """Write a bucket {name: weight} to a file; return one line on an error, or None."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(dict(bucket), file)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        return f"rollout.engine.folder: {file.parent} cannot hold the weights ({reason}): name a folder with more room"
    return None


def on_all_ranks(error: str | None) -> None:
    """Wait for all ranks, then raise UserError on every rank if one of them has an error.

    error: message of this rank's error; None where it has none.
    """
    found = [error]
    if dist.is_available() and dist.is_initialized():
        found = [None] * dist.get_world_size()
        dist.all_gather_object(found, error)
    if told := [each for each in found if each]:
        raise UserError(told[0])


def on_each_rank(call: Callable[[], object]) -> None:
    """Call a function, wait until all ranks have called theirs, and raise UserError on all if one of them raised it."""
    error = None
    try:
        call()
    except UserError as raised:
        error = str(raised)
    on_all_ranks(error)


def on_any_rank(flag: bool) -> bool:
    """Tell whether `flag` is True on at least one rank. Every rank must call this function."""
    found = [flag]
    if dist.is_available() and dist.is_initialized():
        found = [False] * dist.get_world_size()
        dist.all_gather_object(found, flag)
    return any(found)


def is_sharded(policy: MLLM) -> bool:
    """Tell whether weights are held in parts by several ranks, so that one rank cannot gather them alone."""
    return any(hasattr(parameter, "full_tensor") for parameter in policy.network.parameters())


def first_of_node() -> bool:
    """Tell whether this rank is the first one on its machine, which writes the files there."""
    return int(os.environ.get("LOCAL_RANK", 0)) == 0


def make_folder(root: str | None) -> Path:
    """Return a path for the folder of a run's weights, the same on every rank; the folder is not made.

    root: folder above it, from which folders that killed runs left are removed; None for `main_memory`.
    """
    base = Path(root) if root else main_memory()
    if first_of_node():
        remove_stale(base)
    name = [f"ral-weights-{os.getpid()}-{os.urandom(4).hex()}"]
    if dist.is_available() and dist.is_initialized():
        dist.broadcast_object_list(name)
    return base / name[0]
