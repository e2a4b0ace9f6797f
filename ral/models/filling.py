"""The weights of sharded networks: each rank reads its own part of each from the files.

A network that begins as another one does (a reference, an EMA policy) has its part from that one's, and one in memory
with it where neither is ever trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

from ral.models.loading import Numbers, one_line
from ral.models.mllm import MLLM
from ral.models.stored import Stored, own_name

Found = dict[str, Numbers]
"""Weights by name, each with what its numbers are like: finite, how large, whether all are zero."""


def fill(models: Mapping[str, MLLM], device: torch.device) -> dict[str, Found]:
    """Give networks on the meta device their weights, of sharded ones this rank's part, on `device`.

    Returns what is known of the numbers that this rank read, for each network that was read. UserError where a file
    cannot be read.
    """
    found: dict[str, Found] = {}
    filled: dict[Stored, dict[str, nn.Parameter]] = {}
    for name, model in models.items():
        if model.stored is None:
            continue
        with one_line(model.stored.pretrained):
            if model.stored in filled:
                copy_parts(model, filled[model.stored], device)
            else:
                found[name] = read_parts(model, model.stored, device)
        filled.setdefault(model.stored, dict(model.network.named_parameters()))
    return found


def read_parts(model: MLLM, stored: Stored, device: torch.device) -> Found:
    """Read this rank's part of every weight and buffer that the files have."""
    found = {}
    for name, weight in list(model.network.named_parameters()):
        if weight.is_meta:
            own = like(weight, torch.empty_like(local(weight), device=device))
            found[own_name(name)] = read_part(own, stored, name)
            put(model.network, weight, own)
    for name, buffer in model.network.named_buffers():
        if name in stored.origins:
            read_part(buffer, stored, name)
    return found


@torch.no_grad()
def read_part(weight: Tensor, stored: Stored, name: str) -> Numbers:
    """Fill this rank's part of a weight; return what is known of its numbers."""
    part, known = local(weight), Numbers(matrix=weight.ndim > 1)
    shape, offset = placed(weight)
    for row, values in stored.blocks(name, shape, offset):
        known = known.and_of(values)
        (part[row : row + len(values)] if part.ndim else part).copy_(values)
    return known


@torch.no_grad()
def copy_parts(model: MLLM, theirs: dict[str, nn.Parameter], device: torch.device) -> None:
    """Take this rank's part of every weight from a network that begins as this one and is sharded alike."""
    for name, weight in list(model.network.named_parameters()):
        if weight.is_meta:
            first = theirs[name]
            shared = first.dtype == weight.dtype and not (first.requires_grad or weight.requires_grad)
            part = local(first) if shared else torch.empty_like(local(weight), device=device).copy_(local(first))
            put(model.network, weight, like(weight, part))


def local(weight: Tensor) -> Tensor:
    """Return this rank's part of a weight; a whole one where it is not sharded."""
    return weight.to_local() if isinstance(weight, DTensor) else weight.data


def placed(weight: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shape of this rank's part of a weight, and where in the whole it begins."""
    if not isinstance(weight, DTensor):
        return tuple(weight.shape), (0,) * weight.ndim
    shape, offset = compute_local_shape_and_global_offset(weight.shape, weight.device_mesh, weight.placements)
    return tuple(shape), tuple(offset)


def like(weight: Tensor, part: Tensor) -> nn.Parameter:
    """Return a parameter that is sharded as `weight`, with this rank's part."""
    if isinstance(weight, DTensor):
        shape, stride = weight.shape, weight.stride()
        part = DTensor.from_local(
            part, weight.device_mesh, weight.placements, run_check=False, shape=shape, stride=stride
        )
    return nn.Parameter(part, requires_grad=weight.requires_grad)


def put(network: nn.Module, old: nn.Parameter, new: nn.Parameter) -> None:
    """Replace a parameter wherever it stands: one that two modules share stays one."""
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter is old:
                setattr(module, name, new)


def joined(parts: Iterable[dict[str, Found]]) -> dict[str, Found]:
    """Return what is known of the numbers of whole weights from what ranks know of their parts."""
    whole: dict[str, Found] = {}
    for part in parts:
        for model, found in part.items():
            known = whole.setdefault(model, {})
            known |= {name: known[name].joined(n) if name in known else n for name, n in found.items()}
    return whole
