"""Handles by which another process on this machine opens a tensor's memory: CUDA IPC, or shared memory on a CPU.

PyTorch's own reductions for multiprocessing make the handles (torch.multiprocessing.reductions).
"""

from __future__ import annotations

import pickle
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.reduction import ForkingPickler

import torch
from torch import Tensor
from torch.multiprocessing import get_sharing_strategy, set_sharing_strategy
from torch.multiprocessing.reductions import rebuild_cuda_tensor, reduce_tensor

DEVICE = 6
"""Place of the GPU's index in the arguments of rebuild_cuda_tensor."""


@contextmanager
def shared_by_name() -> Iterator[None]:
    """Share main memory by name inside the block.

    PyTorch's default, sharing by file descriptor, needs processes with a common ancestor.
    """
    usual = get_sharing_strategy()
    set_sharing_strategy("file_system")
    try:
        yield
    finally:
        set_sharing_strategy(usual)


def handle_of(tensor: Tensor) -> str:
    """Return a handle of a tensor, as text.

    The handle may be given to `opened` once, and only while the tensor exists. A tensor in main memory is moved to
    shared memory, in place. A tensor on a GPU stays; its values have to be computed before the other process reads them
    (torch.cuda.synchronize).
    """
    with shared_by_name():
        return b64encode(bytes(ForkingPickler.dumps(reduce_tensor(tensor)))).decode()


def opened(handle: str, device: torch.device) -> Tensor:
    """Return the tensor that a handle points to, without a copy. device: its device, by this process's numbering.

    A handle is unpickled, which may run code: it must come from a trusted process, such as the one that started this
    one.
    """
    rebuild, arguments = pickle.loads(b64decode(handle))
    if rebuild is rebuild_cuda_tensor:  # the sender may see other GPUs than this process
        arguments = (*arguments[:DEVICE], device.index or 0, *arguments[DEVICE + 1 :])
    return rebuild(*arguments)
