"""The numbers of a device by the seconds that one run took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace

from ral.planning.device import Device
from ral.planning.plan import Plan

MEASURED = {"vision": "vision_s", "rollout": "rollout_s", "frozen passes": "freeze_s", "updates": "update_s"}
"""Phase of a plan -> key of its seconds in metrics.jsonl, without "time/"."""


def calibrated(plan: Plan, seconds: Mapping[str, float]) -> Device:
    """Return the plan's device with the numbers by which its phases take as long as they took in a run of the plan.

    seconds: {key of MEASURED: of a step}. Each number is set by the phases that it bounds, all of these together; the
    numbers that bound no phase stay.
    """
    device = plan.device
    for bound in sorted({part.bound for part in plan.step}):
        parts = [part for part in plan.step if part.bound == bound and seconds.get(MEASURED[part.name], 0.0) > 0]
        planned, taken = sum(p.seconds for p in parts), sum(seconds[MEASURED[p.name]] for p in parts)
        if planned > 0 and taken > 0:
            device = slowed(device, bound, taken / planned)
    return device


def slowed(device: Device, bound: str, times: float) -> Device:
    """Return a device on which what this bound sets takes `times` as long."""
    compute, traffic = device.compute, device.traffic
    if bound == "flops":
        return replace(device, compute=replace(compute, training_share=compute.training_share / times))
    if bound == "launches":
        return replace(device, compute=replace(compute, launch_us=compute.launch_us * times))
    if bound == "memory":
        return replace(device, compute=replace(compute, decoding_share=compute.decoding_share / times))
    rates = {"peer_gb_s": traffic.peer_gb_s / times, "network_gb_s": traffic.network_gb_s / times}
    return replace(device, traffic=replace(traffic, **rates))


def numbers(device: Device) -> dict[str, float]:
    """Return the numbers of a device that runs can set, by their keys in conf/machine, with three digits."""
    every = asdict(device.compute) | asdict(device.traffic)
    kept = ("training_share", "decoding_share", "launch_us", "peer_gb_s", "network_gb_s")
    return {key: float(f"{every[key]:.3g}") for key in kept}
