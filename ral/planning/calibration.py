"""The numbers of a device by the seconds that one run took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from ral.planning.device import Device
from ral.planning.plan import Plan
from ral.planning.times import Time, times

MEASURED = {"vision": "vision_s", "rollout": "rollout_s", "frozen passes": "freeze_s", "updates": "update_s"}
"""Phase of a plan -> key of its seconds in metrics.jsonl, without "time/"."""
BOUNDS = ("flops", "memory", "launches", "network")
"""Names of the bounds whose numbers are set."""
ROUNDS = 3
"""Times that all numbers are set, one after another, since another bound may then be the greatest."""
LEAST = 0.1
"""Smallest factor by which one round changes a number."""


def calibrated(plan: Plan, seconds: Mapping[str, float], only: Sequence[str] = BOUNDS) -> Device:
    """Return the plan's device with the numbers by which its phases take as long as they took in a run of the plan.

    seconds: {key of MEASURED: of a step}. only: names of the bounds whose numbers are set. Each is set by the phases
    that it bounds most, all of these together, the network by all that use it; numbers without such a phase stay.
    """
    device = plan.device
    for _ in range(ROUNDS):
        for bound in only:
            device = slowed(device, bound, missing(times(plan.networks, device), seconds, bound))
    return device


def missing(step: Sequence[Time], seconds: Mapping[str, float], bound: str) -> float:
    """Return the factor on the seconds of one bound by which the phases that set its number take what they took.

    1 without such phases; LEAST where the other bounds alone take longer.
    """
    known = [part for part in step if seconds.get(MEASURED[part.name], 0.0) > 0 and part.bounds.get(bound, 0.0) > 0]
    parts = [part for part in known if bound in ("network", part.bound)]
    own = sum(part.bounds[bound] for part in parts)
    others = sum(part.seconds - part.bounds[bound] for part in parts)
    taken = sum(seconds[MEASURED[part.name]] for part in parts)
    return max((taken - others) / own, LEAST) if own > 0 else 1.0


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
