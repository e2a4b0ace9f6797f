"""Dtypes of weights: trained ones are fp32, always; frozen ones are in the arithmetic's dtype where that is lossless.

An update of a weight is far smaller than the weight: added to one in bf16 (8 bits), most of it rounds away. Matrix
products in bf16 round the weights that they read anyway, so frozen weights of linear layers and convolutions lose
nothing by being stored in bf16. Every other frozen weight (norms, embeddings) is stored in bf16 only where that rounds
none of its numbers, as in most published checkpoints, else in fp32. Frozen weights in bf16 and in fp32 therefore give
the same results under bf16 arithmetic.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import torch
from torch import Tensor, nn

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""torch dtypes by the values of hardware.dtype."""
PRODUCTS = (nn.Linear, nn.Conv2d, nn.Conv3d)
"""Modules whose weights are read by matrix products only."""


class InFiles(Protocol):
    """Weights that are not read from their files yet (ral.models.stored.Stored)."""

    def lossless(self, name: str, dtype: torch.dtype) -> bool:
        """Tell whether converting the weight of this name to `dtype` changes none of its numbers."""
        ...


def settle(network: nn.Module, dtype: torch.dtype, files: InFiles | None = None) -> None:
    """Convert each weight of a network, in place, to the dtype in which it is stored (`resting_dtype`).

    Trained weights become fp32, frozen ones `dtype` where that loses nothing. files: tells whether weights on the meta
    device, which have no numbers yet, lose anything; None where all weights are loaded.
    """
    owners: dict[nn.Parameter, list[nn.Module]] = {}
    names: dict[nn.Parameter, str] = {}
    for path, module in network.named_modules():
        for name, weight in module.named_parameters(path, recurse=False):
            owners.setdefault(weight, []).append(module)
            names.setdefault(weight, name)
    for weight, modules in owners.items():
        exact = partial(files.lossless, names[weight]) if files and weight.is_meta else partial(lossless, weight.data)
        weight.data = weight.data.to(resting_dtype(weight, modules, dtype, exact))


def resting_dtype(
    weight: nn.Parameter, owners: list[nn.Module], dtype: torch.dtype, exact: Callable[[torch.dtype], bool]
) -> torch.dtype:
    """Return the dtype in which a weight is stored: fp32 if trained; if frozen, `dtype` where that loses nothing.

    owners: the modules that hold the weight. A frozen weight loses nothing where all of them are PRODUCTS, or where
    exact(dtype) is True: then `dtype` rounds none of its numbers. Else it is fp32. Weights that are not floating-point
    keep their dtype.
    """
    if weight.requires_grad or not weight.is_floating_point():
        return torch.float32 if weight.is_floating_point() else weight.dtype
    if all(isinstance(owner, PRODUCTS) for owner in owners) or exact(dtype):
        return dtype
    return torch.float32


def lossless(values: Tensor, dtype: torch.dtype) -> bool:
    """Tell whether converting `values` to `dtype` changes none of them."""
    return values.dtype == dtype or torch.equal(values.to(dtype).to(values.dtype), values)


def arithmetic(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Return the context for forward passes: autocast of matrix products to `dtype`; for fp32 one that does nothing.

    Autocast keeps no casts of weights, since an update would leave them stale.
    """
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype=dtype, cache_enabled=False)


class HasArithmetic(Protocol):
    """A model with a context for its own forward passes."""

    def arithmetic(self) -> AbstractContextManager[object]:
        """Return the context inside which forward passes run."""
        ...


M = TypeVar("M", bound=HasArithmetic)
P = ParamSpec("P")
R = TypeVar("R")


def in_own_arithmetic(method: Callable[Concatenate[M, P], R]) -> Callable[Concatenate[M, P], R]:
    """Decorate a method of a model to run under the context `self.arithmetic()`."""

    @functools.wraps(method)
    def run(self: M, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.arithmetic():
            return method(self, *args, **kwargs)

    return run
