"""A process group of trainer and engine, apart from all other groups: NCCL between GPUs, gloo on a CPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

TRAINER, ENGINE, SIZE = 0, 1, 2
"""Ranks of the two, and their number."""
PATIENCE = timedelta(minutes=10)
"""Time after which a broadcast that the other side does not join fails."""
PAUSE = 0.0005
"""Seconds between two looks whether a broadcast is done."""


def joined(file: Path, rank: int, device: torch.device) -> Any:
    """Return the group as TRAINER or ENGINE; on a CPU it waits for the other. device: of the weights.

    file: new, and seen by both, through which they find each other.
    """
    store = dist.FileStore(str(file), SIZE)
    if device.type == "cuda":
        options: Any = dist.ProcessGroupNCCL.Options()
        options._timeout = PATIENCE
        return dist.ProcessGroupNCCL(store, rank, SIZE, options)
    gloo: Any = dist.ProcessGroupGloo
    options = gloo._Options()
    options._timeout = PATIENCE
    options._devices = [gloo.create_device(hostname="127.0.0.1")]
    return gloo(store, rank, SIZE, options)


def broadcast(group: Any, tensor: Tensor, alive: Callable[[], bool] = lambda: True) -> bool:
    """Send a tensor from TRAINER to ENGINE, in place there, and wait for it; False where it failed.

    alive: tells whether the other process still runs, which NCCL does not notice.
    """
    options: Any = dist.BroadcastOptions()
    options.rootRank = TRAINER
    work = group.broadcast([tensor], options)
    while not work.is_completed():
        if not alive():
            group.abort()
            return False
        time.sleep(PAUSE)
    try:
        work.wait()
    except RuntimeError:
        return False
    if tensor.is_cuda:
        torch.cuda.current_stream(tensor.device).synchronize()
    return True
