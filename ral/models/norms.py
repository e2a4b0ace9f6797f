"""Norms of a network whose weight multiplies: all zeros there let nothing through."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

FRESH = 4
"""Dimensions of a norm that is made to see how its class begins."""


def multiplying(network: nn.Module) -> frozenset[str]:
    """Return the names of the weights of norms that multiply by the weight itself, as 1 + weight does not."""
    return frozenset(
        f"{name}.weight" if name else "weight"
        for name, module in network.named_modules()
        if "Norm" in type(module).__name__ and isinstance(getattr(module, "weight", None), nn.Parameter)
        if begins_as_one(type(module))  # type: ignore[arg-type]  # classes can be looked up
    )


@functools.cache
def begins_as_one(kind: type[nn.Module]) -> bool:
    """Tell whether a class of norms has a weight of ones when it is made; those of 1 + weight begin with zeros.

    False for a class that is not made from a number of dimensions.
    """
    try:
        with torch.device("cpu"):
            fresh = kind(FRESH)
    except (TypeError, ValueError):
        return False
    return isinstance(fresh.weight, Tensor) and bool(torch.all(fresh.weight == 1))
