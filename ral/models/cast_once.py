"""Copies of weights in the dtype of the arithmetic, made once for many passes without gradient.

Under autocast every matrix product casts its fp32 weight anew: a decoding step in bf16 over fp32 weights reads 4 bytes
of each weight, writes 2 and reads them; with a copy it reads 2. The product has the same operands, so that its results
are the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn


def products_dtype(device: torch.device) -> torch.dtype | None:
    """Return the dtype to which autocast casts operands of matrix products at this moment; None where it is off."""
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None


@contextmanager
def cast_once(modules: Iterable[nn.Module], dtype: torch.dtype | None) -> Iterator[None]:
    """Let linear layers in these modules read copies of their weights in `dtype` inside the block.

    dtype: dtype of the arithmetic (`products_dtype`); None changes nothing. Weights without more bits than `dtype` are
    read as they are. Passes under autocast without gradient read the copies, other passes the weights, which must not
    change inside the block. The copies are freed at its end.
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
    """Return the nn.Linear layers whose weight is whole on this rank (unsharded) and has more bits than `dtype`."""
    layers = [m for m in module.modules() if isinstance(m, nn.Linear) and type(m).forward is nn.Linear.forward]
    whole = [m for m in layers if "forward" not in vars(m) and type(m.weight) in (Tensor, nn.Parameter)]
    return [m for m in whole if m.weight.is_floating_point() and m.weight.itemsize > dtype.itemsize]


def product(rows: Tensor, *, layer: nn.Linear, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Compute rows [.. D_in] @ weight.T + bias, [.. D_out], by the copies `weight` and `bias`; under gradient, or
    without autocast, by those of the layer.
    """
    if torch.is_grad_enabled() or not torch.is_autocast_enabled(rows.device.type):
        return nn.functional.linear(rows, layer.weight, layer.bias)
    return nn.functional.linear(rows, weight, bias)
