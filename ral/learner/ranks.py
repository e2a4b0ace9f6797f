"""Exchange between the processes of a run: values, sums, and the errors of one."""

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
    """Return the values of all ranks, in their order."""
    if not several():
        return [value]
    everyone: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, value)
    return everyone


def together(call: Callable[[], T]) -> T:
    """Call a function on every rank and raise a UserError of one on all: one that left alone would have others hang."""
    result, error = None, None
    try:
        result = call()
    except UserError as raised:
        error = raised
    if messages := [message for message in gather(error and str(error)) if message]:
        raise error or UserError(messages[0])
    return result  # type: ignore[return-value]


def sum_over_ranks(values: Tensor, device: torch.device) -> Tensor:
    """Return the sum over all ranks, on the CPU; `device` is where they compute. One process: the values themselves."""
    if not several():
        return values
    values = values.to(device) if device.type == "cuda" else values.clone()
    dist.all_reduce(values)
    return values.cpu()
