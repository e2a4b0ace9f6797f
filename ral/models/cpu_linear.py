"""Decoding on a CPU: linear layers with their weights laid out once for the few rows of every step.

A product of a few rows with a weight reads the weight once, so its layout in memory decides its time; oneDNN's own
layout makes it about 1.5 times as fast as the row-major one for up to 16 rows (measured, docs/benchmarks.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

MOST_ROWS = 16
LEAST_STEPS = 32  # laying out a model's weights takes the time of some ten steps
LEAST_WEIGHTS = 2**16  # of a layer; smaller ones are in a cache anyway


@contextmanager
def packed_weights(modules: Iterable[nn.Module], rows: int, steps: int) -> Iterator[None]:
    """Let large fp32 linear layers of these modules on a CPU use packed copies of their weights while open.

    rows and steps: of the decoding to come; nothing is packed where it would not pay. For inference alone, of weights
    that do not change meanwhile.
    """
    worth = rows <= MOST_ROWS and steps >= LEAST_STEPS and not torch.is_autocast_enabled("cpu")
    layers = [m for part in modules for m in linear_layers(part)] if worth and supported() else []
    try:
        for layer in layers:
            weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), rows)
            layer.forward = partial(product, weight=weight, bias=layer.bias)  # type: ignore[method-assign]
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)


def supported() -> bool:
    """Tell whether this torch has oneDNN and the two operators, which torch.compile uses too."""
    names = ("_reorder_linear_weight", "_linear_pointwise")
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in names)


def linear_layers(module: nn.Module) -> list[nn.Linear]:
    """Return the plain linear layers of fp32 on a CPU that are large enough to matter."""
    return [m for m in module.modules() if isinstance(m, nn.Linear) and "forward" not in vars(m) and large(m.weight)]


def large(weight: Tensor) -> bool:
    """Return a weight that is whole, on a CPU, of fp32 and of LEAST_WEIGHTS numbers."""
    whole = type(weight) in (Tensor, nn.Parameter) and weight.device.type == "cpu"
    return whole and weight.dtype == torch.float32 and weight.numel() >= LEAST_WEIGHTS


def product(rows: Tensor, *, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Compute rows [.. D_in] @ weight.T + bias, for a packed weight."""
    return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
