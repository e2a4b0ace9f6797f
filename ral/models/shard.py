"""Sharding of a network over ranks with FSDP2, and its whole weights for the length of a rollout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from ral.models.mllm import MLLM


def shard_layers(model: MLLM, mesh: DeviceMesh) -> None:
    """Shard each decoder layer by itself and all other weights together, over `mesh`."""
    for layer in model.network.model.language_model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)


@contextmanager
def gathered(model: MLLM) -> Iterator[None]:
    """Whole weights inside the block: gathered once, so that ranks may decode different numbers of tokens."""
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
