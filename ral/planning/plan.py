"""The plan of a run: its networks, memory, time and disk, and whether the device has room for it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ral.config.check import first_line
from ral.errors import UserError
from ral.planning import times
from ral.planning.architecture import architecture_of
from ral.planning.device import Device
from ral.planning.host import MainMemory, disk_gb, main_memory
from ral.planning.memory import GB, Phase, phases
from ral.planning.networks import Networks
from ral.planning.settings import workload

Tree = Mapping[str, Any]
STAGES: Mapping[str, tuple[str, ...]] = {
    "vision": ("vision",),
    "rollout": ("rollout",),
    "frozen passes": ("frozen passes",),
    "updates": ("update, forward", "update, backward", "optimizer step"),
}
"""{stage of a step, named as in `Plan.step`: names of the phases of memory in it}."""


@dataclass(frozen=True)
class Plan:
    """Plan of a run. networks: its networks and its work. device: the device that it is planned for.

    phases: memory of a rank's device, by phase; without a GPU, of main memory. host: main memory of a rank. disk_gb:
    disk of the run, in GB. step: the phases of a step with their seconds. evaluation_s: seconds of one evaluation.
    """

    networks: Networks
    device: Device
    phases: tuple[Phase, ...]
    host: MainMemory
    disk_gb: float
    step: tuple[times.Time, ...]
    evaluation_s: float

    @property
    def peak(self) -> Phase:
        """Return the phase that holds most memory."""
        return max(self.phases, key=lambda phase: phase.total)

    @property
    def gpu_gb(self) -> float:
        """Return the peak GPU memory of a rank, in GB; 0 without a GPU."""
        return self.peak.total / GB if self.networks.work.ranks.on_gpu else 0.0

    @property
    def host_gb(self) -> float:
        """Return the peak main memory of a machine, in GB, summed over its ranks, one of which saves at the end."""
        devices = self.networks.work.ranks.devices
        return max(devices * self.host.most, (devices - 1) * self.host.steady + self.host.saving)

    @property
    def step_s(self) -> float:
        """Return the seconds of a step."""
        return sum(part.seconds for part in self.step)

    @property
    def hours(self) -> float:
        """Return the hours of the run: its steps and its evaluations."""
        work = self.networks.work
        return (work.steps * self.step_s + work.upkeep.evaluations * self.evaluation_s) / 3600

    @property
    def fits(self) -> bool:
        """Tell whether device and machine have the memory that the plan takes."""
        room = self.device.room
        return self.gpu_gb <= max(room.gpu_gb - room.reserve_gb, 0.0) and self.host_gb <= room.host_gb

    @property
    def most_gb(self) -> float:
        """Return the peak memory, in GB, that savings are measured by: gpu_gb; without a GPU, host_gb."""
        return self.gpu_gb if self.networks.work.ranks.on_gpu else self.host_gb

    def summary(self) -> dict[str, Any]:
        """Return the numbers of the JSON object that is the last line of plan=true."""
        return {
            "gpu_gb": round(self.gpu_gb, 2),
            "host_gb": round(self.host_gb, 2),
            "disk_gb": round(self.disk_gb, 2),
            "step_s": float(f"{self.step_s:.4g}"),
            "hours": float(f"{self.hours:.4g}"),
            "fits": self.fits,
        }


def plan_of(tree: Tree, device: Device) -> Plan:
    """Return the plan of a run on a device. tree: the run's configuration, resolved.

    UserError where a network's shape is not known, or a teacher is needed and not set.
    """
    return planned(networks_of(tree), device)


def networks_of(tree: Tree) -> Networks:
    """Return the networks and the work of a run. tree: its configuration, resolved. Errors: as `plan_of`."""
    policy = architecture_of(str(tree["model"]["pretrained"]))
    work = workload(tree, policy)
    return Networks(policy, teacher_of(tree) if "teacher" in work.frozen.signals else None, work)


def planned(networks: Networks, device: Device) -> Plan:
    """Return the plan of networks on a device."""
    return Plan(
        networks=networks,
        device=device,
        phases=tuple(phases(networks)),
        host=main_memory(networks, device.room.base_gb),
        disk_gb=disk_gb(networks),
        step=tuple(times.times(networks, device)),
        evaluation_s=times.evaluation(networks, device) if networks.work.upkeep.evaluations else 0.0,
    )


def teacher_of(tree: Tree) -> Any:
    """Return the teacher's architecture. UserError, which names model.teacher, where it is not set or not known."""
    name = tree["algo"]["teacher"]
    if name is None:
        raise UserError("model.teacher is not set, and the objective needs one: write model.teacher=<folder or hub id>")
    try:
        return architecture_of(str(name))
    except UserError as error:
        raise UserError(first_line(error).replace("model.pretrained=", "model.teacher=", 1)) from error


def changed(tree: Tree, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a configuration with some values changed. changes: {dotted key: new value}."""
    made: dict[str, Any] = copy.deepcopy(dict(tree))
    for key, value in changes.items():
        *groups, name = key.split(".")
        place = made
        for group in groups:
            place = place[group]
        place[name] = value
    return made


def stages(plan: Plan) -> dict[str, float]:
    """Return {stage of a step: its peak memory in GB}: that of the phase of the stage (STAGES) that holds most."""
    found = {phase.name: phase.total / GB for phase in plan.phases}
    most = {stage: [found[name] for name in names if name in found] for stage, names in STAGES.items()}
    return {stage: max(sizes) for stage, sizes in most.items() if sizes}
