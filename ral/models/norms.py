"""Names of the norms of a network that multiply by their weight: where it is all zeros, their output is zero."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

FRESH = 4
"""Dimensions of a norm that is made to look at its initial weight."""


def multiplying(network: nn.Module) -> frozenset[str]:
    """Return the names of the weights of those norms that multiply by the weight itself, not by 1 + weight."""
    return frozenset(
        f"{name}.weight" if name else "weight"
        for name, module in network.named_modules()
        if "Norm" in type(module).__name__ and isinstance(getattr(module, "weight", None), nn.Parameter)
        if begins_as_one(type(module))  # type: ignore[arg-type]  # classes can be looked up
    )


@functools.cache
def begins_as_one(kind: type[nn.Module]) -> bool:
    """Tell whether norms of a class begin with a weight of ones; those that multiply by 1 + weight begin with zeros.

    False for a class that is not made from a number of dimensions.
    """
    try:
        with torch.device("cpu"):
            fresh = kind(FRESH)
    except (TypeError, ValueError):
        return False
    return isinstance(fresh.weight, Tensor) and bool(torch.all(fresh.weight == 1))
