"""Copies of weights in the dtype of the arithmetic, made once for many passes without gradient.

Under autocast every product casts its fp32 weight anew: a decoding step of bf16 arithmetic over fp32 weights reads 4
bytes a weight, writes 2 and reads these, where a copy is read alone. The product has the same operands, so its numbers
are the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn


def products_dtype(device: torch.device) -> torch.dtype | None:
    """Return the dtype that autocast gives products at this moment; None where it is off."""
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None


@contextmanager
def cast_once(modules: Iterable[nn.Module], dtype: torch.dtype | None) -> Iterator[None]:
    """While open, the linear layers in these modules whose weights are wider than `dtype` read copies of that dtype.

    dtype: of the arithmetic (`products_dtype`); None: nothing changes. Weights of that dtype are read as they are. For
    passes under autocast without gradient, of weights that do not change meanwhile; any other pass reads the weights
    themselves. The copies are freed at the end.
    """
    layers = [] if dtype is None else [m for part in modules for m in wider(part, dtype)]
    try:
        for layer in layers:
            weight = layer.weight.detach().to(dtype)
            bias = None if layer.bias is None else layer.bias.detach().to(dtype)
            layer.forward = partial(product, layer=layer, weight=weight, bias=bias)  # type: ignore[method-assign]
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)


def wider(module: nn.Module, dtype: torch.dtype) -> list[nn.Linear]:
    """List the plain linear layers whose weight is whole on this rank and has more bits than `dtype`."""
    layers = [m for m in module.modules() if isinstance(m, nn.Linear) and type(m).forward is nn.Linear.forward]
    whole = [m for m in layers if "forward" not in vars(m) and type(m.weight) in (Tensor, nn.Parameter)]
    return [m for m in whole if m.weight.is_floating_point() and m.weight.itemsize > dtype.itemsize]


def product(rows: Tensor, *, layer: nn.Linear, weight: Tensor, bias: Tensor | None) -> Tensor:
    """rows [.. D_in] @ weight.T + bias by the copies, or by the layer's own where a copy would not do."""
    if torch.is_grad_enabled() or not torch.is_autocast_enabled(rows.device.type):
        return nn.functional.linear(rows, layer.weight, layer.bias)
    return nn.functional.linear(rows, weight, bias)
