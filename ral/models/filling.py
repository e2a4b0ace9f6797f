"""Reading of weights into sharded networks: each rank reads its own part of each weight from the files.

A network with the same initial weights as another one (a reference, an EMA policy) copies its parts from that one, or
shares their memory where neither is ever trained.
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
"""{name of a weight: `Numbers`: whether its numbers are finite, how large they are, and whether all are zero}"""


def fill(models: Mapping[str, MLLM], device: torch.device) -> dict[str, Found]:
    """Fill networks on the meta device with their weights, sharded ones with this rank's parts, on `device`.

    models: networks by name. Return {model: {weight: `Numbers` of the part that this rank read}}, for models that were
    read from files, not copied. UserError where a file cannot be read.
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
    """Read this rank's part of every weight that is still on the meta device, and every buffer that is in the files.

    model: the network, filled in place. stored: its weights in the files. device: device of the parts. Return {name of
    a weight: `Numbers` of the part read}, without the buffers.
    """
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
    """Fill this rank's part of the weight `name` from the files, in place; return the `Numbers` of that part."""
    part, known = local(weight), Numbers(matrix=weight.ndim > 1)
    shape, offset = placed(weight)
    for row, values in stored.blocks(name, shape, offset):
        known = known.and_of(values)
        (part[row : row + len(values)] if part.ndim else part).copy_(values)
    return known


@torch.no_grad()
def copy_parts(model: MLLM, theirs: dict[str, nn.Parameter], device: torch.device) -> None:
    """Fill this rank's part of every weight that is on the meta device by copying it from another network.

    model: the network to fill, in place. theirs: {name: weight} of a network with the same files and sharding. device:
    device of the copies. Weights that are trained in neither network and have one dtype share their memory.
    """
    for name, weight in list(model.network.named_parameters()):
        if weight.is_meta:
            first = theirs[name]
            shared = first.dtype == weight.dtype and not (first.requires_grad or weight.requires_grad)
            part = local(first) if shared else torch.empty_like(local(weight), device=device).copy_(local(first))
            put(model.network, weight, like(weight, part))


def local(weight: Tensor) -> Tensor:
    """Return this rank's part of a weight; the whole weight where it is not sharded."""
    return weight.to_local() if isinstance(weight, DTensor) else weight.data


def placed(weight: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shape of this rank's part of a weight, and its offset in the whole weight, on each axis."""
    if not isinstance(weight, DTensor):
        return tuple(weight.shape), (0,) * weight.ndim
    shape, offset = compute_local_shape_and_global_offset(weight.shape, weight.device_mesh, weight.placements)
    return tuple(shape), tuple(offset)


def like(weight: Tensor, part: Tensor) -> nn.Parameter:
    """Return a parameter sharded as `weight`, and trained if `weight` is, with `part` as this rank's part."""
    if isinstance(weight, DTensor):
        shape, stride = weight.shape, weight.stride()
        part = DTensor.from_local(
            part, weight.device_mesh, weight.placements, run_check=False, shape=shape, stride=stride
        )
    return nn.Parameter(part, requires_grad=weight.requires_grad)


def put(network: nn.Module, old: nn.Parameter, new: nn.Parameter) -> None:
    """Replace the parameter `old` by `new` in every module that has it, so that a shared parameter stays shared."""
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter is old:
                setattr(module, name, new)


def joined(parts: Iterable[dict[str, Found]]) -> dict[str, Found]:
    """Return {model: {weight: `Numbers` of the whole weight}}. parts: one result of `fill` from each rank."""
    whole: dict[str, Found] = {}
    for part in parts:
        for model, found in part.items():
            known = whole.setdefault(model, {})
            known |= {name: known[name].joined(n) if name in known else n for name, n in found.items()}
    return whole
