"""Main memory of a rank, and the disk that a run takes."""

from __future__ import annotations

from dataclasses import dataclass

from ral.models.stored import BLOCK
from ral.planning import activations as act
from ral.planning.memory import GB, peak
from ral.planning.networks import Networks

WORKER_GB = 0.5
"""Main memory, in GB, of a process that decodes media, without the decoded ones: Python, torch and the readers."""
SENT = 250 * 2**20
"""Most bytes of weights that DDP sends to the other ranks at a time, when it wraps a network."""
EXPORT_BYTES = 4
"""Bytes of a weight in hf/, which is fp32."""


@dataclass(frozen=True)
class MainMemory:
    """Main memory of a rank in GB. load: while its networks are made. steady: during the steps.

    saving: at the end of the run, on rank 0, which writes hf/.
    """

    load: float
    steady: float
    saving: float

    @property
    def most(self) -> float:
        """Return the peak, in GB, of a rank other than 0, which does not save."""
        return max(self.load, self.steady)


def main_memory(networks: Networks, base_gb: float) -> MainMemory:
    """Return the main memory of a rank. base_gb: main memory of Python, its libraries and the device's driver."""
    whole = loaded(networks) / GB
    steady = base_gb + (reading(networks) + resting(networks) + waiting(networks)) / GB
    load = base_gb + whole
    export = networks.policy.counts.total * EXPORT_BYTES / GB if networks.work.ranks.on_gpu else 0.0
    return MainMemory(load, steady, steady + export)


def loaded(networks: Networks) -> float:
    """Return the bytes of main memory in which a rank makes its networks, before they go to the device.

    Without sharding these are the whole networks, and, on CPU ranks, the weights that one sends to the others at a
    time. With sharding they are one block of a file, and the shards that stay in main memory.
    """
    numbers, policy, ranks = networks.work.numbers, networks.policy, networks.work.ranks
    whole = networks.policy_bytes + sum(networks.frozen_bytes.values())
    if ranks.sharded:
        block = min(BLOCK, EXPORT_BYTES * policy.decoder.width * max(policy.decoder.mlp, policy.decoder.vocabulary))
        return block + (0.0 if ranks.on_gpu and not ranks.offload else whole / ranks.parts)
    half = numbers.frozen < numbers.trained and policy.half
    own = max(networks.policy_bytes, policy.counts.total * (numbers.frozen if half else EXPORT_BYTES))
    sent = min(SENT, whole) if ranks.count > 1 and not ranks.on_gpu else 0.0
    return own + sum(networks.frozen_bytes.values()) + sent


def resting(networks: Networks) -> float:
    """Return the bytes that stay in main memory during the steps.

    Without a GPU this is the peak of a step. With a GPU it depends on `Ranks`: with `offload` it is this rank's part of
    networks, gradients and optimizer state; with `aside` the frozen networks except the EMA; else 0.
    """
    ranks, numbers = networks.work.ranks, networks.work.numbers
    if not ranks.on_gpu:
        return peak(networks).total
    others = sum(size for name, size in networks.frozen_bytes.items() if name != "ema")
    if ranks.offload:
        trained = networks.trained * (numbers.trained + numbers.state)
        return (networks.policy_bytes + trained + sum(networks.frozen_bytes.values())) / ranks.parts
    return others if ranks.aside else 0.0


def waiting(networks: Networks) -> float:
    """Return the bytes of layers' inputs that are moved to main memory until the backward pass.

    0 where they are not moved, and without a GPU, where `resting` counts them.
    """
    work, decoder = networks.work, networks.policy.decoder
    if not (work.training.aside and work.training.checkpointing and work.ranks.on_gpu):
        return 0.0
    return act.inputs_of_layers(decoder, work.batch.tokens, work.numbers)


def reading(networks: Networks) -> float:
    """Return the bytes of main memory that decoded media and the processes that decode them take."""
    work, vision = networks.work, networks.policy.vision
    batch = 4.0 * work.batch.prompts * work.batch.visual * vision.patches * vision.values
    workers = work.upkeep.workers
    own = workers * (WORKER_GB + work.upkeep.cache_gb) * GB
    return own + (work.upkeep.ahead * workers + 1) * batch


def disk_gb(networks: Networks) -> float:
    """Return the disk, in GB, that a run takes: the checkpoints it keeps, one more being written, and hf/.

    A checkpoint holds trained weights, their optimizer state, and the averaged weights (EMA).
    """
    numbers, work = networks.work.numbers, networks.work
    averaged = networks.frozen_bytes.get("ema", 0.0)
    one = networks.trained * (numbers.trained + numbers.state) + averaged
    return (work.upkeep.checkpoints * one + networks.policy.counts.total * EXPORT_BYTES) / GB
