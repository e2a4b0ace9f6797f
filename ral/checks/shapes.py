"""Tensors without memory: a run of any size steps through its own code, and the bytes of its tensors are counted.

Under `Shapes` every operation returns PyTorch's fake tensors, which have shape, dtype and device but no numbers.
Integers and truth values of at most VALUES elements that follow from integers alone (token ids, masks, positions) are
computed as well, so that code which asks for them goes its usual way. A value that depends on a missing number is
assumed to be True, or 1; `assumed` lists the operations that asked for one.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

VALUES = 2**22
"""Most elements of a tensor whose numbers are computed."""
OURS = (Tensor, FakeTensor, nn.Parameter)
"""Classes of tensors that are handled here. Others (DTensor) first call operations on the tensors they are made of."""
aten = torch.ops.aten
INDEXED = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default)
"""Operations that take lists of indices; such an index may be a mask."""


class Shapes(TorchDispatchMode):
    """Mode of fake tensors that counts the bytes of their storages. Enter it by `shapes_only`.

    live: bytes that exist now; most: the most of these since `restart`; assumed: operations whose values were assumed.
    """

    def __init__(self, fake: FakeTensorMode) -> None:
        super().__init__()
        self.fake, self.live, self.most = fake, 0, 0
        self.sizes: dict[int, int] = {}
        self.assumed: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Return the fake result of an operation, with its numbers where they are known, and count its memory."""
        if not all(kind in OURS for kind in types):
            return NotImplemented
        args, kwargs = tree_map(self.entered, (args, kwargs or {}))
        if func is aten._local_scalar_dense.default:
            return self.item(args[0])
        if func is aten.equal.default:
            return self.assume(str(func), True)
        if func in INDEXED:
            args = (args[0], [part for index in args[1] for part in self.places(index)], *args[2:])
        made = self.made(func, args, kwargs)
        for tensor in tree_leaves(made):
            if isinstance(tensor, FakeTensor) and tensor.device.type != "meta":
                self.count(tensor.untyped_storage())
        return made

    def made(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Return the fake result of an operation.

        Its numbers are computed too where all inputs are known and all tensors are `countable`, and where its shape
        depends on them. DynamicOutputShapeException or DataDependentOutputException where that shape's inputs are not
        known.
        """
        inputs = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        known = all(value_of(x) is not None for x in inputs)
        try:
            made, open_shape = func(*args, **kwargs), False
        except (DynamicOutputShapeException, DataDependentOutputException):
            if not known:
                raise
            made, open_shape = None, True
        outputs = [x for x in tree_leaves(made) if isinstance(x, Tensor)]
        if open_shape or (known and outputs and all(map(countable, (*inputs, *outputs)))):
            real_args, real_kwargs = tree_map(lambda x: value_of(x) if isinstance(x, Tensor) else x, (args, kwargs))
            with unset_fake_temporarily():
                real = func(*real_args, **real_kwargs)
            made = tree_map(self.entered, real) if open_shape else made
            tree_map(note, made, real)
        elif func._schema.is_mutable:
            self.assume_written(func, outputs)
        return made

    def assume_written(self, func: Any, written: list[Tensor]) -> None:
        """Set known numbers to 1, in all views of them, after an operation wrote unknown numbers there.

        written: the tensors that the operation wrote.
        """
        for tensor in written:
            if (value := value_of(tensor)) is not None:
                with unset_fake_temporarily():
                    self.assume(str(func), value.fill_(1))

    def entered(self, value: Any) -> Any:
        """Return an ordinary tensor as a fake one, with its numbers if it is `countable`; else the value unchanged."""
        if not isinstance(value, Tensor) or isinstance(value, FakeTensor):
            return value
        made = self.fake.from_tensor(value)
        note(made, value if countable(value) else None)
        return made

    def places(self, index: Any) -> list[Any]:
        """Return a mask used as index as integer indices of its true elements, one tensor for each axis.

        Any other index is returned alone, in a list.
        """
        if not (isinstance(index, FakeTensor) and index.dtype == torch.bool):
            return [index]
        value = value_of(index)
        with unset_fake_temporarily():
            value = self.assume("index", torch.ones(index.shape, dtype=torch.bool)) if value is None else value
            found = value.nonzero().unbind(1)
        return [self.entered(each) for each in found]

    def item(self, tensor: Tensor) -> Any:
        """Return the number in a tensor of one element; True or 1 where it is not known."""
        value = value_of(tensor)
        if value is None:
            kind = tensor.dtype
            return self.assume(f"item of {kind}", True if kind == torch.bool else 1.0 if kind.is_floating_point else 1)
        with unset_fake_temporarily():
            return value.item()

    def listed(self, tensor: Tensor) -> Any:
        """Return the numbers of a tensor as nested lists; all True or 1 where they are not known."""
        value = value_of(tensor)
        with _disable_current_modes():
            if value is None:
                value = self.assume(f"list of {tensor.dtype}", torch.ones(tensor.shape, dtype=tensor.dtype))
            return value.tolist()

    def assume(self, name: str, value: Any) -> Any:
        """Return `value`, and note the operation `name`, which asked for an unknown number, in `assumed`."""
        self.assumed.add(name)
        return value

    def count(self, storage: torch.UntypedStorage) -> None:
        """Count the bytes of a storage from now on, until the storage is freed."""
        key = storage._cdata
        if key not in self.sizes:
            self.sizes[key] = 0
            self.resized(storage)
            weakref.finalize(storage, self.drop, key)

    def resized(self, storage: torch.UntypedStorage) -> None:
        """Count a storage by its new size, where it is counted already."""
        key, size = storage._cdata, storage.nbytes()
        if key in self.sizes:
            self.live += size - self.sizes[key]
            self.sizes[key] = size
            self.most = max(self.most, self.live)

    def drop(self, key: int) -> None:
        """Stop counting a storage; nothing is done for one that is not counted. key: its address."""
        self.live -= self.sizes.pop(key, 0)

    def restart(self) -> None:
        """Set `most` to the bytes that are live now."""
        self.most = self.live


def value_of(tensor: Tensor) -> Tensor | None:
    """Return the numbers of a fake tensor; None where they are not known."""
    return getattr(tensor, "known_value", None)


def note(made: Any, value: Any) -> None:
    """Keep the numbers `value` with a fake tensor that is `countable`; None: they are not known. Else do nothing."""
    if isinstance(made, FakeTensor) and (value is None or countable(made)):
        made.known_value = value  # type: ignore[attr-defined]


def countable(tensor: Tensor) -> bool:
    """Tell whether a tensor holds integers or truth values, and at most VALUES of them."""
    return not (tensor.is_floating_point() or tensor.is_complex()) and tensor.numel() <= VALUES


@contextmanager
def shapes_only() -> Iterator[Shapes]:
    """Give tensors that are made inside the block no memory; yield the mode that counts their bytes."""
    fake = FakeTensorMode()
    mode, resize = Shapes(fake), torch.UntypedStorage.resize_

    def resized(storage: torch.UntypedStorage, size: int) -> torch.UntypedStorage:
        result = resize(storage, size)
        mode.resized(storage)
        return result

    with ExitStack() as stack:
        stack.enter_context(patch.object(torch.UntypedStorage, "resize_", resized))
        stack.enter_context(patch.object(FakeTensor, "tolist", lambda tensor: mode.listed(tensor)))
        stack.enter_context(fake)
        stack.enter_context(mode)
        yield mode


def really(mode: Shapes, call: Any, *tensors: Any) -> Any:
    """Return call(*tensors), computed for real from the known numbers of fake integer tensors, as fake tensors."""
    known = tree_map(lambda x: value_of(x) if isinstance(x, Tensor) else x, tensors)
    with _disable_current_modes():
        found = call(*known)
    return tree_map(mode.entered, found)
