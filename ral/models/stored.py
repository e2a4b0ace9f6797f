"""Weights that stay in a model's files until each rank reads its part of them, so that few are whole in memory."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import PreTrainedModel
from transformers.core_model_loading import WeightConverter

from ral.files.pretrained import read_header, weight_files
from ral.models.masters import lossless
from ral.types import UserError

BLOCK = 2**25
"""Bytes of a weight that are read at a time."""
TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""Dtypes of weights by their names in safetensors; all other types there count as int64, which is not trained."""
BASE = ".base_layer."
"""Part of the name of a weight under an adapter (peft) that its name in the files lacks."""
Index = tuple[slice, ...]


@dataclass(frozen=True)
class Held:
    """A tensor in a file of weights: its name there, shape and dtype."""

    file: Path
    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    def read(self, index: Index) -> Tensor:
        """Return a part of the tensor; only its bytes stay in memory. index: one slice for each axis; () for all."""
        if self.file.suffix == ".safetensors":
            with safe_open(self.file, "pt") as opened:
                return opened.get_slice(self.name)[index] if index else opened.get_tensor(self.name)
        return mapped(self.file)[self.name][index]


def mapped(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a .bin file, memory-mapped. UserError for a file of PyTorch before 1.6."""
    if not is_zipfile(file):
        raise UserError(f"{file}: written by PyTorch before 1.6, and not to be read in parts: save it as safetensors")
    tensors: dict[str, Tensor] = torch.load(file, "cpu", mmap=True, weights_only=True)
    return tensors


def held(folder: Path, named: str) -> dict[str, Held]:
    """Return {name: tensor} of all tensors in a folder's files of weights, without reading their numbers.

    named: setting and folder, with which messages begin. UserError where the folder names no files of weights or two
    sets of them, a safetensors header is broken, or a .bin file was written by PyTorch before 1.6. The files have to be
    there: `check_folder` comes first.
    """
    found: dict[str, Held] = {}
    for name in weight_files(folder, named):
        file = folder / name
        if file.suffix == ".safetensors":
            header = read_header(file, named)
            found |= {n: Held(file, n, h.shape, TYPES.get(h.dtype, torch.int64)) for n, h in header.items()}
        else:
            found |= {n: Held(file, n, tuple(t.shape), t.dtype) for n, t in mapped(file).items()}
    return found


def pickled_names(folder: Path, named: str) -> set[str]:
    """Return the names of all tensors in a folder's .bin files. named, and what has to be there: as in `held`.

    Files of PyTorch before 1.6 are read, too. RuntimeError, EOFError or UnpicklingError for a broken file.
    """
    files = [folder / name for name in weight_files(folder, named)]
    return {key for file in files for key in torch.load(file, "meta", mmap=is_zipfile(file), weights_only=True)}


@dataclass
class Origin:
    """Origin of a weight in the files: one tensor as it is, or several that Transformers joins or splits.

    parts: (pattern of the converter, tensor), in order. converter: Transformers' rule; None where the weight is one
    tensor as it is. first: name of the first weight that the converter makes.
    """

    parts: list[tuple[str, Held]]
    converter: WeightConverter | None = None
    first: str = ""

    def made(self, network: PreTrainedModel, meta: bool = False) -> dict[str, Tensor]:
        """Return the whole weights that the converter makes, {name: weight}.

        network: the network whose weights they are. meta: whether to return empty tensors on the meta device.
        AssertionError where there is no converter.
        """
        converter = deepcopy(self.converter)
        assert converter is not None
        for pattern, part in self.parts:
            value = torch.empty(part.shape, dtype=part.dtype, device="meta") if meta else part.read(())
            converter.add_tensor(self.first, part.name, pattern, partial(returned, value))
        made = converter.convert(self.first, model=network, config=network.config)
        return {name: value[0] if isinstance(value, list) else value for name, value in made.items()}

    def shape(self, target: str, network: PreTrainedModel) -> tuple[int, ...]:
        """Return the shape of the weight `target` of the network."""
        if self.converter is None:
            return self.parts[0][1].shape
        return tuple(self.made(network, meta=True)[target].shape)


@dataclass(eq=False)
class Stored:
    """Weights of a network in its files. pretrained: folder or hub id of the model.

    dtype: dtype in which values are read; each weight is then stored in its resting dtype (ral.models.masters).
    network: the network that the weights are for. origins: {name of a weight in the network: its origin in the files}.
    """

    pretrained: str
    dtype: torch.dtype
    network: PreTrainedModel = field(repr=False)
    origins: dict[str, Origin] = field(repr=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> Stored:
        """Return the same object, since copies of a network have the same files."""
        return self

    def __contains__(self, name: str) -> bool:
        """Tell whether the files have the weight of this name, with or without an adapter around its layer."""
        return own_name(name) in self.origins

    def blocks(self, name: str, shape: tuple[int, ...], offset: tuple[int, ...]) -> Iterator[tuple[int, Tensor]]:
        """Yield (index of the first row, rows) of a part of the weight `name`, about BLOCK bytes at a time.

        Rows are slices along the first axis; their index counts from the part's first row. shape, offset: shape of the
        part, and its offset in the whole weight, on each axis. A weight that a converter makes comes in one block.
        """
        origin = self.origins[own_name(name)]
        inner = tuple(slice(o, o + s) for o, s in zip(offset[1:], shape[1:], strict=True))
        if origin.converter is not None:
            whole = origin.made(self.network)[own_name(name)]
            yield 0, whole[(slice(offset[0], offset[0] + shape[0]), *inner)].to(self.dtype)
            return
        tensor, rows = origin.parts[0][1], rows_of(shape)
        if not shape:
            yield 0, tensor.read(()).to(self.dtype)
            return
        for start in range(0, shape[0], rows):
            end = min(start + rows, shape[0])
            yield start, tensor.read((slice(offset[0] + start, offset[0] + end), *inner)).to(self.dtype)

    def lossless(self, name: str, dtype: torch.dtype) -> bool:
        """Tell whether converting a weight to `dtype` changes none of its numbers; may read the whole weight."""
        origin = self.origins[own_name(name)]
        if all(part.dtype == dtype for _, part in origin.parts):
            return True
        shape = origin.shape(own_name(name), self.network)
        return all(lossless(rows, dtype) for _, rows in self.blocks(name, shape, (0,) * len(shape)))

    def alike(self, name: str, other: str) -> bool:
        """Tell whether the weights `name` and `other` have the same shape and numbers."""
        shape, theirs = (self.origins[n].shape(n, self.network) for n in (name, other))
        if shape != theirs:
            return False
        both = (self.blocks(n, shape, (0,) * len(shape)) for n in (name, other))
        return all(torch.equal(ours, theirs) for (_, ours), (_, theirs) in zip(*both, strict=True))


def own_name(name: str) -> str:
    """Return the name that a weight has without an adapter around its layer."""
    return name.replace(BASE, ".")


def rows_of(shape: tuple[int, ...]) -> int:
    """Return how many rows of a part of this shape are read at a time: BLOCK bytes of fp32, at least one row."""
    row = 4
    for size in shape[1:]:
        row *= size
    return max(BLOCK // max(row, 1), 1)


def returned(value: Tensor) -> Tensor:
    """Return `value`: the loading function that a converter calls for a tensor already in memory."""
    return value
