"""A machine's numbers: what a device computes, reads and sends in a second, and how much memory there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import yaml

from ral.errors import UserError
from ral.files.repository import CONF

FOLDER = CONF / "machine"
NAMES = {"H100": "h100", "H200": "h200", "A100": "a100_80", "4090": "rtx4090"}
"""Part of a GPU's name as its driver tells it -> the yaml of conf/machine."""
DEFAULT = {True: "h100", False: "cpu"}
"""Device that is planned for where none is named, on a GPU and without one."""


@dataclass(frozen=True)
class Compute:
    """Operations of a device in a second: tflops in bf16 and in fp32 at its peak, and the shares that passes reach.

    launch_us: microseconds from one operation to the next where each is started by Python.
    """

    tflops_bf16: float
    tflops_fp32: float
    training_share: float
    decoding_share: float
    launch_us: float


@dataclass(frozen=True)
class Traffic:
    """Rates in GB a second: of a device's memory, to others of its machine, and to other machines."""

    memory_gb_s: float
    peer_gb_s: float
    network_gb_s: float


@dataclass(frozen=True)
class Room:
    """Memory in GB: of a device, of it what is not PyTorch's, of a machine, and of a process without its networks."""

    gpu_gb: float
    reserve_gb: float
    host_gb: float
    base_gb: float


@dataclass(frozen=True)
class Device:
    """A device with its machine."""

    name: str
    compute: Compute
    traffic: Traffic
    room: Room


class GPU(Protocol):
    """The part of torch.cuda that is asked."""

    def is_available(self) -> bool: ...

    def get_device_name(self) -> str: ...

    def get_device_properties(self, device: int) -> Any: ...


def device_of(tree: Mapping[str, Any], present: str | None = None) -> Device:
    """Return the device to plan for: the one that the configuration names, that which is present, or the default.

    present: a GPU's name as its driver tells it.
    """
    if tree.get("machine"):
        return made(tree["machine"])
    on_gpu = tree["hardware"]["accelerator"] != "cpu"
    found = next((name for part, name in NAMES.items() if present and part in present), None)
    return read_device(found if on_gpu and found else DEFAULT[on_gpu])


def present(tree: Mapping[str, Any], gpu: GPU) -> Device:
    """Return the device of a run: the one that the configuration names, else what is there, with the memory it has."""
    if tree.get("machine") or tree["hardware"]["accelerator"] == "cpu" or not gpu.is_available():
        return device_of(tree)
    device = device_of(tree, gpu.get_device_name())
    there = gpu.get_device_properties(0).total_memory / 1e9
    return replace(device, room=replace(device.room, gpu_gb=there))


def read_device(name: str) -> Device:
    """Return a device of conf/machine."""
    if not (FOLDER / f"{name}.yaml").is_file():
        raise UserError(f"machine={name}: write one of {', '.join(sorted(p.stem for p in FOLDER.glob('*.yaml')))}")
    return made(composed(name))


def composed(name: str) -> dict[str, Any]:
    """Return the numbers of a yaml in conf/machine, those of its defaults list below its own."""
    own = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    below = [composed(part) for part in own.pop("defaults", []) if part != "_self_"]
    return {key: value for part in (*below, own) for key, value in part.items()}


def made(node: Mapping[str, Any]) -> Device:
    """Return the device of a node. UserError where it lacks a number."""
    return Device(str(node["name"]), _part(Compute, node), _part(Traffic, node), _part(Room, node))


def _part(kind: type[Any], node: Mapping[str, Any]) -> Any:
    """Return a part of a device from the numbers of its node."""
    names = [field.name for field in fields(kind)]
    missing = [name for name in names if not isinstance(node.get(name), int | float)]
    if missing:
        raise UserError(f"machine.{missing[0]} is not set: write machine.{missing[0]}=<number>, or machine=h100")
    return kind(**{name: float(node[name]) for name in names})
