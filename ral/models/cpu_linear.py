"""Decoding on a CPU: linear layers whose weights are packed once in oneDNN's memory layout.

A step of decoding multiplies the states of a few responses with each weight, so that reading the weight takes most of
the time. oneDNN's layout makes it about 1.5 times as fast as the row-major one for up to 16 responses (measured,
docs/benchmarks.md).
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
    """Let large fp32 linear layers of these modules on a CPU use packed copies of their weights inside the block.

    rows: responses decoded at once; steps: tokens of each. Nothing is packed for more than MOST_ROWS rows, for fewer
    than LEAST_STEPS steps, or under autocast. Only for passes without gradient; weights must not change meanwhile.
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
    """Tell whether this torch has oneDNN and its two operators used here (and by torch.compile)."""
    names = ("_reorder_linear_weight", "_linear_pointwise")
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in names)


def linear_layers(module: nn.Module) -> list[nn.Linear]:
    """Return the linear layers whose weight is `large` and whose forward is not replaced already."""
    return [m for m in module.modules() if isinstance(m, nn.Linear) and "forward" not in vars(m) and large(m.weight)]


def large(weight: Tensor) -> bool:
    """Tell whether a weight is a whole (unsharded) fp32 tensor on a CPU with at least LEAST_WEIGHTS numbers."""
    whole = type(weight) in (Tensor, nn.Parameter) and weight.device.type == "cpu"
    return whole and weight.dtype == torch.float32 and weight.numel() >= LEAST_WEIGHTS


def product(rows: Tensor, *, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Compute rows [.. D_in] @ weight.T + bias [.. D_out], for a packed weight."""
    return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
