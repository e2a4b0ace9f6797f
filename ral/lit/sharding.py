"""FSDP2 as Lightning runs it: weights sharded over all processes of all machines, on the device or in main memory."""

from __future__ import annotations

import torch
from lightning.pytorch.strategies import ModelParallelStrategy


class Sharded(ModelParallelStrategy):
    """Sharding over all processes, one shard each: `devices` of them on each of `num_nodes` machines.

    offload: shards of weights, gradients and optimizer state rest in main memory; a layer is on the device while used.
    `shard_layers` has to be told the same. sum_once: gradients are summed over ranks once an update, for which each
    holds a whole one; False: once a micro-batch, of the same values.
    """

    def __init__(self, devices: int, num_nodes: int, offload: bool = False, sum_once: bool = True) -> None:
        # norms of gradients in main memory are summed over ranks by gloo
        backend = "cpu:gloo,cuda:nccl" if offload and torch.cuda.is_available() else None
        super().__init__(data_parallel_size=devices * num_nodes, tensor_parallel_size=1, process_group_backend=backend)
        self.offload, self.sum_once = offload, sum_once

    def model_to_device(self) -> None:
        """Move everything to the device; with offload the buffers alone."""
        if not self.offload:
            super().model_to_device()
            return
        assert self.model is not None
        for module in self.model.modules():
            for name, buffer in module.named_buffers(recurse=False):
                setattr(module, name, buffer.to(self.root_device))
