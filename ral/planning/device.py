"""The numbers of a machine: what one of its devices computes, reads and transfers in a second, and its memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import yaml

from ral.errors import UserError
from ral.files.repository import CONF

FOLDER = CONF / "machine"
NAMES = {"H100": "h100", "H200": "h200", "A100": "a100_80", "4090": "rtx4090"}
"""Part of a GPU's name in its driver -> the yaml of conf/machine."""
DEFAULT = {True: "h100", False: "cpu"}
"""Device to plan for where none is named: on a GPU (True) and without one."""


@dataclass(frozen=True)
class Compute:
    """Speed of a device. tflops_bf16, tflops_fp32: its peak for either type of numbers, in 10^12 operations a second.

    training_share: share of that peak that training passes reach. decoding_share: share of the memory's rate that
    decoding reaches. launch_us: microseconds from one operation to the next where Python launches each.
    """

    tflops_bf16: float
    tflops_fp32: float
    training_share: float
    decoding_share: float
    launch_us: float


@dataclass(frozen=True)
class Traffic:
    """Rates in GB a second. memory_gb_s: reads and writes of a device's memory.

    peer_gb_s: transfers to other devices of its machine. network_gb_s: transfers of a device to other machines.
    """

    memory_gb_s: float
    peer_gb_s: float
    network_gb_s: float


@dataclass(frozen=True)
class Room:
    """Memory in GB. gpu_gb: memory of a device. reserve_gb: the part of it that PyTorch's tensors cannot use.

    host_gb: main memory of a machine. base_gb: main memory that a process takes without its networks.
    """

    gpu_gb: float
    reserve_gb: float
    host_gb: float
    base_gb: float


@dataclass(frozen=True)
class Device:
    """A device with its machine. compute: its speed. traffic: its transfer rates. room: memory of both."""

    name: str
    compute: Compute
    traffic: Traffic
    room: Room


class GPU(Protocol):
    """The functions of torch.cuda that are used here."""

    def is_available(self) -> bool:
        """Tell whether CUDA can be used here."""
        ...

    def get_device_name(self) -> str:
        """Return the GPU's name, as its driver has it."""
        ...

    def get_device_properties(self, device: int) -> Any:
        """Return the properties of a GPU; `total_memory` is in bytes."""
        ...


def device_of(tree: Mapping[str, Any], present: str | None = None) -> Device:
    """Return the device to plan for: the one that the configuration names (machine), else `present`, else the default.

    tree: the configuration, resolved. present: name of a GPU, as its driver has it. The default, by DEFAULT, is taken
    where `present` is None or a name that NAMES lacks, and for hardware.accelerator=cpu.
    """
    if tree.get("machine"):
        return made(tree["machine"])
    on_gpu = tree["hardware"]["accelerator"] != "cpu"
    found = next((name for part, name in NAMES.items() if present and part in present), None)
    return read_device(found if on_gpu and found else DEFAULT[on_gpu])


def present(tree: Mapping[str, Any], gpu: GPU) -> Device:
    """Return the device of a run on this machine: the one that the configuration names, else the GPU that is here.

    The GPU's memory is read from its driver. Without a GPU the default device is returned. tree: the configuration,
    resolved. gpu: torch.cuda.
    """
    if tree.get("machine") or tree["hardware"]["accelerator"] == "cpu" or not gpu.is_available():
        return device_of(tree)
    device = device_of(tree, gpu.get_device_name())
    there = gpu.get_device_properties(0).total_memory / 1e9
    return replace(device, room=replace(device.room, gpu_gb=there))


def read_device(name: str) -> Device:
    """Return a device of conf/machine. UserError for a name that has no yaml there."""
    if not (FOLDER / f"{name}.yaml").is_file():
        raise UserError(f"machine={name}: write one of {', '.join(sorted(p.stem for p in FOLDER.glob('*.yaml')))}")
    return made(composed(name))


def composed(name: str) -> dict[str, Any]:
    """Return the keys of conf/machine/`name`.yaml, and those of the files in its defaults list that it does not set."""
    own = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    below = [composed(part) for part in own.pop("defaults", []) if part != "_self_"]
    return {key: value for part in (*below, own) for key, value in part.items()}


def made(node: Mapping[str, Any]) -> Device:
    """Return the device that a node of conf/machine describes. UserError where it lacks a number."""
    return Device(str(node["name"]), _part(Compute, node), _part(Traffic, node), _part(Room, node))


def _part(kind: type[Any], node: Mapping[str, Any]) -> Any:
    """Return a part of a device from the numbers of its node."""
    names = [field.name for field in fields(kind)]
    missing = [name for name in names if not isinstance(node.get(name), int | float)]
    if missing:
        raise UserError(f"machine.{missing[0]} is not set: write machine.{missing[0]}=<number>, or machine=h100")
    return kind(**{name: float(node[name]) for name in names})
