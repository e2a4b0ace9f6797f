"""Lightning strategy of FSDP2: weights sharded over all processes of all machines, on the device or in main memory."""

from __future__ import annotations

import torch
from lightning.pytorch.strategies import ModelParallelStrategy


class Sharded(ModelParallelStrategy):
    """Strategy that shards over all processes, one shard each: `devices` processes on each of `num_nodes` machines.

    offload: True keeps shards of weights, gradients and optimizer state in main memory; a layer is on the device while
    it is used. `shard_layers` needs the same value. sum_once: True sums gradients over ranks once an update, for which
    each rank holds a whole gradient; False once a micro-batch, with the same result.
    """

    def __init__(self, devices: int, num_nodes: int, offload: bool = False, sum_once: bool = True) -> None:
        # norms of gradients in main memory are summed over ranks by gloo
        backend = "cpu:gloo,cuda:nccl" if offload and torch.cuda.is_available() else None
        super().__init__(data_parallel_size=devices * num_nodes, tensor_parallel_size=1, process_group_backend=backend)
        self.offload, self.sum_once = offload, sum_once

    def model_to_device(self) -> None:
        """Move the module to the device; with `offload` its buffers alone."""
        if not self.offload:
            super().model_to_device()
            return
        assert self.model is not None
        for module in self.model.modules():
            for name, buffer in module.named_buffers(recurse=False):
                setattr(module, name, buffer.to(self.root_device))
