"""Sharding of a network over ranks with FSDP2, and its whole weights for the length of a rollout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import (
    CPUOffloadPolicy,
    FSDPModule,
    MixedPrecisionPolicy,
    OffloadPolicy,
    fully_shard,
    register_fsdp_forward_method,
)

from ral.models.mllm import MLLM, PASSES


def shard_layers(model: MLLM, mesh: DeviceMesh, offload: bool = False, precision: str = "auto") -> None:
    """Shard each decoder layer by itself and all other weights together, over `mesh`.

    offload: shards stay in main memory between passes. precision: of the arithmetic, as hardware.precision has it.
    """
    rests = CPUOffloadPolicy(pin_memory=torch.cuda.is_available()) if offload else OffloadPolicy()
    numbers = mixed_precision(torch.bfloat16 if precision == "bf16-mixed" else model.dtype)
    for layer in model.network.model.language_model.layers:
        fully_shard(layer, mesh=mesh, offload_policy=rests, mp_policy=numbers)
    fully_shard(model, mesh=mesh, offload_policy=rests, mp_policy=numbers)
    for name in PASSES:
        register_fsdp_forward_method(model, name)


def mixed_precision(arithmetic: torch.dtype) -> MixedPrecisionPolicy:
    """Return the types of sharded weights: gathered in that of the arithmetic, their gradients summed in fp32.

    Shards are what they were, fp32 where they are trained. States between layers stay fp32: passes cast what a product
    reads (ral.models.masters), nothing is cast on the way into a layer.
    """
    if arithmetic == torch.float32:
        return MixedPrecisionPolicy(cast_forward_inputs=False)
    return MixedPrecisionPolicy(param_dtype=arithmetic, reduce_dtype=torch.float32, cast_forward_inputs=False)


def reshard(model: MLLM) -> None:
    """Bring every rank back to its shards: a pass without gradient leaves parts outside the layers whole."""
    for part in model.modules():
        if isinstance(part, FSDPModule):
            part.reshard()


def sum_gradients(model: MLLM, now: bool) -> None:
    """Set whether the next backward pass sums a sharded model's gradients over ranks; until then each keeps its own.

    Those kept are of whole weights: a rank holds as much as the gradient of the model that is not sharded.
    """
    for part in model.modules():
        if isinstance(part, FSDPModule):
            part.set_requires_gradient_sync(now, recurse=False)


@contextmanager
def gathered(model: MLLM) -> Iterator[None]:
    """Hold whole weights inside the block, gathered once, so that ranks may decode different numbers of tokens."""
    parts = [m for m in model.modules() if isinstance(m, FSDPModule)]
    for part in parts:
        part.unshard()
        part.set_reshard_after_forward(False, recurse=False)
    try:
        yield
    finally:
        for part in parts:
            part.set_reshard_after_forward(part is not model, recurse=False)
            part.reshard()
