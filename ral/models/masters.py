"""Number types of weights: trained ones are fp32, always; frozen ones are in the dtype of the arithmetic.

An update of a weight is far smaller than the weight: added to one in bf16 (8 bits), most of it rounds away. Products
in bf16 round the weights they read anyway, so frozen weights of products lose nothing by resting in bf16; every other
frozen weight (norms, tables of embeddings) does so where its numbers are those of bf16 already, as in most published
checkpoints. bf16 and fp32 frozen weights therefore give the same numbers under bf16 arithmetic.
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
"""Values of hardware.dtype."""
PRODUCTS = (nn.Linear, nn.Conv2d, nn.Conv3d)
"""Modules whose weights enter products alone."""


class InFiles(Protocol):
    """Weights that are not read yet."""

    def lossless(self, name: str, dtype: torch.dtype) -> bool:
        """Tell whether the numbers of a weight stay what they are in `dtype`."""
        ...


def settle(network: nn.Module, dtype: torch.dtype, files: InFiles | None = None) -> None:
    """Give each weight its number type, in place: fp32 where it is trained, `dtype` where that loses nothing.

    files: tells the latter of weights on the meta device, which have no numbers yet.
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
    """Return the number type of a weight that `owners` hold. exact: whether its numbers stay what they are in one."""
    if weight.requires_grad or not weight.is_floating_point():
        return torch.float32 if weight.is_floating_point() else weight.dtype
    if all(isinstance(owner, PRODUCTS) for owner in owners) or exact(dtype):
        return dtype
    return torch.float32


def lossless(values: Tensor, dtype: torch.dtype) -> bool:
    """Tell whether numbers stay what they are in `dtype`."""
    return values.dtype == dtype or torch.equal(values.to(dtype).to(values.dtype), values)


def arithmetic(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Return the products in `dtype`, sums and norms in fp32 (autocast); as it is outside for fp32.

    No cast is kept: a weight that an update moved would still be read as it was.
    """
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype=dtype, cache_enabled=False)


class HasArithmetic(Protocol):
    """A model whose passes run under an arithmetic of its own."""

    def arithmetic(self) -> AbstractContextManager[object]: ...


M = TypeVar("M", bound=HasArithmetic)
P = ParamSpec("P")
R = TypeVar("R")


def in_own_arithmetic(method: Callable[Concatenate[M, P], R]) -> Callable[Concatenate[M, P], R]:
    """Run a pass under its model's arithmetic."""

    @functools.wraps(method)
    def run(self: M, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.arithmetic():
            return method(self, *args, **kwargs)

    return run
