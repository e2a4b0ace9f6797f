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
    """Return the process group of trainer and engine. On a CPU this call waits for the other process.

    file: path, not yet in use, that both processes can see and meet by. rank: TRAINER or ENGINE. device: device of the
    weights in this process.
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
    """Send a tensor from TRAINER to ENGINE and wait for the end; return whether it arrived.

    Both sides call it with a tensor of the same shape; ENGINE's is overwritten. It returns False where the other side
    does not join, fails or is not alive. alive: function that tells whether the other process still runs, which NCCL
    does not notice.
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
