"""Seconds of a step by phase, each with the kind of work that bounds it: flops, memory, network or launches.

`networks` is the networks and the work of a run, `device` the device that computes, in every function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ral.planning.architecture import Architecture
from ral.planning.device import Device
from ral.planning.networks import Networks
from ral.planning.workload import Batch

OPERATIONS = 45
"""Operations of a decoder layer in one decoding step, each launched by Python unless CUDA graphs replay them."""
FLOPS_A_WEIGHT = 2
"""Operations of a weight for each token: a multiplication and an addition."""
SCALE = 1e9
"""Bytes in a GB."""


@dataclass(frozen=True)
class Time:
    """Seconds of a phase of a step on a rank. bounds: {kind of work: seconds that it alone would take}."""

    name: str
    seconds: float
    bounds: Mapping[str, float]

    @property
    def bound(self) -> str:
        """Return the kind of work that takes longest."""
        return max(self.bounds, key=lambda name: self.bounds[name])


def times(networks: Networks, device: Device) -> list[Time]:
    """Return the phases of a step in their order, with the seconds of each on the rank with most prompts."""
    work = networks.work
    parts = [vision(networks, device, work.batch)]
    if work.frozen.sampled:
        parts.append(rollout(networks, device, work.batch, 1 + work.frozen.others))
    if set(work.frozen.signals) - {"old"}:
        parts.append(scoring(networks, device))
    return [*parts, updates(networks, device)]


def taking(name: str, networks: Networks, bounds: Mapping[str, float]) -> Time:
    """Return a phase whose seconds are those of its slowest kind of work; all other work is done meanwhile.

    bounds: as in `Time`. Without a GPU processes exchange nothing while they compute, so that the network's seconds are
    added.
    """
    if networks.work.ranks.on_gpu:
        return Time(name, max(bounds.values()), bounds)
    here = max(seconds for bound, seconds in bounds.items() if bound != "network")
    return Time(name, here + bounds.get("network", 0.0), bounds)


def flops_s(networks: Networks, device: Device) -> float:
    """Return how many operations a second the device reaches in passes over many tokens."""
    compute = device.compute
    peak = compute.tflops_bf16 if networks.work.numbers.product < 4 else compute.tflops_fp32
    return peak * 1e12 * compute.training_share


def wire(networks: Networks, device: Device, size: float) -> float:
    """Return the seconds in which a rank receives, or sends, its share of `size` bytes that ranks exchange."""
    ranks = networks.work.ranks
    if ranks.count == 1:
        return 0.0
    rate = device.traffic.network_gb_s if ranks.nodes > 1 else device.traffic.peer_gb_s
    return size * (ranks.count - 1) / ranks.count / (rate * SCALE)


def pass_flops(architecture: Architecture, batch: Batch, answers: int) -> float:
    """Return the number of operations in a forward pass over a rank's prompts, each with `answers` responses.

    The output head is included.

    In attention a prompt's token reads half of the prompt; a response's token reads the prompt and half of the
    response.
    """
    decoder, p, c = architecture.decoder, batch.prompt, batch.response
    tokens = p + answers * c
    products = FLOPS_A_WEIGHT * architecture.counts.layers * tokens
    pairs = p * p / 2 + answers * c * (p + c / 2)
    attention = 2 * FLOPS_A_WEIGHT * decoder.attending * decoder.queries * pairs
    head = FLOPS_A_WEIGHT * decoder.vocabulary * decoder.width * answers * c
    return float(batch.prompts * (products + attention + head))


def tower_flops(architecture: Architecture, batch: Batch) -> float:
    """Return the number of operations of the vision tower's pass over a rank's prompts, less those of attention."""
    patches = batch.prompts * batch.visual * architecture.vision.patches
    return float(FLOPS_A_WEIGHT * architecture.counts.vision * patches)


def vision(networks: Networks, device: Device, batch: Batch) -> Time:
    """Return the phase of the vision tower's pass over a rank's prompts, the teacher's own tower included."""
    flops = sum(tower_flops(each, batch) for each in (networks.policy, networks.teacher) if each is not None)
    sent = wire(networks, device, networks.outside(networks.policy, networks.weight_bytes))
    return taking("vision", networks, {"flops": flops / flops_s(networks, device), "network": sent})


def rollout(networks: Networks, device: Device, batch: Batch, times: float) -> Time:
    """Return the phase of sampling: gather the weights, prefill, then a step for each token of the longest response.

    times: number of responses sampled, as a multiple of those in the groups.
    """
    decoder, numbers, ranks = networks.policy.decoder, networks.work.numbers, networks.work.ranks
    rate = device.traffic.memory_gb_s * SCALE * device.compute.decoding_share
    weights = (networks.policy.counts.layers + networks.head) * numbers.product
    keys = 2 * decoder.attending * decoder.keys * numbers.product
    read = weights + keys * batch.prompts * (batch.prompt + batch.group * batch.response / 2)
    flops = pass_flops(networks.policy, batch, batch.group) / flops_s(networks, device)
    launches = 0.0 if networks.work.frozen.graphs else decoder.layers * OPERATIONS * device.compute.launch_us * 1e-6
    return taking(
        "rollout",
        networks,
        {
            "flops": flops * times,
            "memory": batch.response * read / rate * times,
            "launches": batch.response * launches * times,
            "network": wire(networks, device, networks.gathered_policy if ranks.sharded else 0.0),
        },
    )


def scoring(networks: Networks, device: Device) -> Time:
    """Return the phase of frozen models' forward passes, one for each model whose signals are asked for.

    The old policy's signals take no pass.
    """
    work, flops, sent = networks.work, 0.0, 0.0
    for name in set(work.frozen.signals) - {"old"}:
        model = networks.teacher if name == "teacher" and networks.teacher is not None else networks.policy
        flops += work.batch.parts * pass_flops(model, work.batch, work.batch.together)
        size = model.counts.total * min(work.numbers.frozen, work.numbers.product)
        sent += work.batch.passes * wire(networks, device, size) if work.ranks.sharded else 0.0
    return taking("frozen passes", networks, {"flops": flops / flops_s(networks, device), "network": sent})


def updates(networks: Networks, device: Device) -> Time:
    """Return the phase of all updates of a step.

    It counts the operations of forward pass, backward pass (twice the forward; once where weights are frozen) and
    recomputation, those of a trained vision tower's backward pass, which is made once an update, the reads and writes
    of the optimizer, and the bytes that ranks gather and sum.
    """
    work, training, numbers = networks.work, networks.work.training, networks.work.numbers
    factor = (2 if training.rank else 3) + training.checkpointing
    flops = factor * work.batch.parts * pass_flops(networks.policy, work.batch, work.batch.together)
    flops += 2 * training.vision * tower_flops(networks.policy, work.batch)
    rate = device.traffic.memory_gb_s * SCALE
    moved = networks.trained / work.ranks.parts * (3 * numbers.trained + 2 * numbers.state)
    read = work.batch.passes * factor * networks.policy_bytes
    each = {
        "flops": flops / flops_s(networks, device),
        "memory": (moved + read) / rate,
        "network": wire(networks, device, exchanged(networks)),
    }
    return taking("updates", networks, {name: training.updates * value for name, value in each.items()})


def exchanged(networks: Networks) -> float:
    """Return the bytes that ranks exchange in an update: gradients, and with sharding the weights, twice in each pass.

    Whole gradients (ddp) are sent twice in an update; those of sharded weights once each time that ranks sum them.
    """
    work = networks.work
    gradients = networks.trained * work.numbers.trained
    if not work.ranks.sharded:
        return float(2 * gradients)
    sums = 1 if work.ranks.sum_once else work.batch.passes
    return 2 * work.batch.passes * networks.gathered_policy + sums * gradients


def evaluation(networks: Networks, device: Device) -> float:
    """Return the seconds of one evaluation."""
    work = networks.work
    mine = -(-work.upkeep.held_out // work.ranks.count)
    batch = replace(work.batch, prompts=min(work.upkeep.batch, mine), group=1)
    one = vision(networks, device, batch).seconds + rollout(networks, device, batch, 1.0).seconds
    return one * -(-mine // batch.prompts)
