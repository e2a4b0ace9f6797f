"""Sharding of a network over ranks with FSDP2, and gathering of its whole weights for a rollout."""

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
    """Shard the model in place over `mesh`: each decoder layer as a unit, all other weights as one more unit.

    offload: whether shards stay in main memory between passes. precision: value of hardware.precision; bf16-mixed
    gathers weights in bf16, any other value in the model's dtype.
    """
    rests = CPUOffloadPolicy(pin_memory=torch.cuda.is_available()) if offload else OffloadPolicy()
    numbers = mixed_precision(torch.bfloat16 if precision == "bf16-mixed" else model.dtype)
    for layer in model.network.model.language_model.layers:
        fully_shard(layer, mesh=mesh, offload_policy=rests, mp_policy=numbers)
    fully_shard(model, mesh=mesh, offload_policy=rests, mp_policy=numbers)
    for name in PASSES:
        register_fsdp_forward_method(model, name)


def mixed_precision(arithmetic: torch.dtype) -> MixedPrecisionPolicy:
    """Return FSDP2's policy of dtypes: weights are gathered in `arithmetic`, gradients are summed in fp32.

    Shards keep their dtype, fp32 where they are trained. Hidden states between layers stay fp32: inputs of layers are
    not cast, only those of matrix products (ral.models.masters.arithmetic).
    """
    if arithmetic == torch.float32:
        return MixedPrecisionPolicy(cast_forward_inputs=False)
    return MixedPrecisionPolicy(param_dtype=arithmetic, reduce_dtype=torch.float32, cast_forward_inputs=False)


def reshard(model: MLLM) -> None:
    """Free gathered weights on every rank: a pass without gradient leaves those outside the decoder layers gathered."""
    for part in model.modules():
        if isinstance(part, FSDPModule):
            part.reshard()


def sum_gradients(model: MLLM, now: bool) -> None:
    """Set whether the next backward passes sum a sharded model's gradients over ranks.

    now: True to sum them; False to let each rank keep its own. Gradients that are not summed yet are of whole weights,
    so that a rank needs memory as if nothing were sharded.
    """
    for part in model.modules():
        if isinstance(part, FSDPModule):
            part.set_requires_gradient_sync(now, recurse=False)


@contextmanager
def gathered(model: MLLM) -> Iterator[None]:
    """Hold whole weights on every rank inside the block, gathered once; ranks may then run unequally many passes."""
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
