"""Exchange between the processes (ranks) of a run: values, sums, and UserErrors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from ral.types import UserError

T = TypeVar("T")


def several() -> bool:
    """Tell whether this process is one of several."""
    return dist.is_available() and dist.is_initialized()


def gather(value: T) -> list[T]:
    """Return the values of all ranks, in their order; every rank must call it. The value must be picklable."""
    if not several():
        return [value]
    everyone: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, value)
    return everyone


def together(call: Callable[[], T]) -> T:
    """Return the result of call(); where it raises UserError on one rank, raise UserError on all, so that none waits.

    Every rank must call it. Errors of other kinds are not exchanged.
    """
    result, error = None, None
    try:
        result = call()
    except UserError as raised:
        error = raised
    if messages := [message for message in gather(error and str(error)) if message]:
        raise error or UserError(messages[0])
    return result  # type: ignore[return-value]


def sum_over_ranks(values: Tensor, device: torch.device) -> Tensor:
    """Return the sum of `values` over all ranks, on the CPU; with one process the values themselves.

    Every rank must call it. device: that of this rank's networks.
    """
    if not several():
        return values
    values = values.to(device) if device.type == "cuda" else values.clone()
    dist.all_reduce(values)
    return values.cpu()
