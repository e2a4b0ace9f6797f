"""Calibration: the speeds of a device that make a plan's seconds equal to those that a run measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from ral.planning.device import Device
from ral.planning.plan import Plan
from ral.planning.times import Time, times

MEASURED = {"vision": "vision_s", "rollout": "rollout_s", "frozen passes": "freeze_s", "updates": "update_s"}
"""Phase of a plan -> key of its seconds in metrics.jsonl, without "time/"."""
SAMPLING = "rollout"
"""Phase that decodes."""
BOUNDS = ("flops", "memory", "launches", "network")
"""Names of the bounds whose numbers are set."""
ROUNDS = 3
"""Times that all numbers are set, one after another, since another bound may then be the greatest."""
LEAST = 0.1
"""Smallest factor by which one round changes a number."""


def calibrated(plan: Plan, seconds: Mapping[str, float], only: Sequence[str] = BOUNDS) -> Device:
    """Return the plan's device with its speeds changed so that the planned phases take as long as in a run.

    seconds: {value of MEASURED: measured seconds of that phase in a step}. only: bounds whose numbers may change. The
    number of a bound follows from the summed seconds of the phases that `setting` returns; without such a phase it
    stays.
    """
    device = plan.device
    for _ in range(ROUNDS):
        for bound in only:
            step = [part for part in times(plan.networks, device) if seconds.get(MEASURED[part.name], 0.0) > 0]
            device = slowed(device, bound, missing(setting(step, bound), seconds, bound))
    return device


def setting(step: Sequence[Time], bound: str) -> list[Time]:
    """Return those phases of a step whose measured seconds decide the number of a bound.

    flops: the phases of which it is the greatest bound. memory, launches: the rollout, where this one is the greater of
    the two. network: all phases that use the network.
    """
    if bound == "network":
        return [part for part in step if part.bounds.get(bound, 0.0) > 0]
    if bound == "flops":
        return [part for part in step if part.bound == bound]
    other = {"memory": "launches", "launches": "memory"}[bound]
    return [part for part in step if part.name == SAMPLING and part.bounds[bound] > part.bounds[other]]


def missing(parts: Sequence[Time], seconds: Mapping[str, float], bound: str) -> float:
    """Return the factor on the seconds of one bound with which the phases `parts` take as long as measured.

    seconds: measured seconds, as in `calibrated`. 1 where `parts` is empty. At least LEAST: the measured seconds may be
    fewer than those that are planned for the rest (the exchange between processes; for the network the other bounds).
    """
    own = sum(part.bounds[bound] for part in parts)
    beside = sum(part.seconds - max(n for name, n in part.bounds.items() if name != "network") for part in parts)
    others = sum(part.seconds - part.bounds[bound] for part in parts) if bound == "network" else beside
    taken = sum(seconds[MEASURED[part.name]] for part in parts)
    return max((taken - others) / own, LEAST) if own > 0 else 1.0


def slowed(device: Device, bound: str, times: float) -> Device:
    """Return a device on which the work of this bound takes `times` as long; all other numbers stay."""
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
    """Return {key of conf/machine: value} of those numbers of a device that calibration sets, with three digits."""
    every = asdict(device.compute) | asdict(device.traffic)
    kept = ("training_share", "decoding_share", "launch_us", "peer_gb_s", "network_gb_s")
    return {key: float(f"{every[key]:.3g}") for key in kept}
