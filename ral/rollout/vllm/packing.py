"""Packing of several weights into one tensor, so that one piece of memory is handed over, and unpacking."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor


def packed_bucket(bucket: Mapping[str, Tensor]) -> tuple[dict[str, Any], Tensor]:
    """Return (description of weights, the weights as one new tensor [total]).

    bucket: {name: weight}, all of one dtype. The description holds names, shapes and dtype as JSON values; total is the
    number of all values.
    """
    flat = torch.cat([value.reshape(-1) for value in bucket.values()])
    shapes = [list(value.shape) for value in bucket.values()]
    return {"names": list(bucket), "shapes": shapes, "dtype": str(flat.dtype).removeprefix("torch.")}, flat


def room_of(head: Mapping[str, Any], device: torch.device) -> Tensor:
    """Return an uninitialised tensor [total] on `device` for the weights that `head`, of `packed_bucket`, describes."""
    total = sum(math.prod(shape) for shape in head["shapes"])
    return torch.empty(total, dtype=getattr(torch, head["dtype"]), device=device)


def unpacked_bucket(head: Mapping[str, Any], flat: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, weight): views of `flat`, the tensor that `packed_bucket` returned with `head`."""
    parts = flat.split([math.prod(shape) for shape in head["shapes"]])
    for name, shape, part in zip(head["names"], head["shapes"], parts, strict=True):
        yield name, part.view(shape)
