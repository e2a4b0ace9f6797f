"""Several weights as one tensor, and back: what is handed over at once is one piece of memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor


def packed_bucket(bucket: Mapping[str, Tensor]) -> tuple[dict[str, Any], Tensor]:
    """Return weights of one dtype as JSON values (names, shapes, dtype) and one new tensor [total]."""
    flat = torch.cat([value.reshape(-1) for value in bucket.values()])
    shapes = [list(value.shape) for value in bucket.values()]
    return {"names": list(bucket), "shapes": shapes, "dtype": str(flat.dtype).removeprefix("torch.")}, flat


def room_of(head: Mapping[str, Any], device: torch.device) -> Tensor:
    """Return an uninitialised tensor for the weights that `head` of `packed_bucket` describes."""
    total = sum(math.prod(shape) for shape in head["shapes"])
    return torch.empty(total, dtype=getattr(torch, head["dtype"]), device=device)


def unpacked_bucket(head: Mapping[str, Any], flat: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, weight), views of what `packed_bucket` returned."""
    parts = flat.split([math.prod(shape) for shape in head["shapes"]])
    for name, shape, part in zip(head["names"], head["shapes"], parts, strict=True):
        yield name, part.view(shape)
