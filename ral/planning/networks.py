"""The bytes of a run's networks on one rank: weights, gradients, optimizer state, and gathered shards."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ral.planning.architecture import Architecture
from ral.planning.workload import Numbers, Workload

GROUPS_AT_ONCE = 2
"""Decoder layers that FSDP2 holds whole: the one that computes, and the next one that is fetched meanwhile."""
PACKED_ROWS, PACKED_STEPS = 16, 32
"""Most responses, and fewest tokens, with which decoding on a CPU repacks weights (ral.models.cpu_linear)."""


@dataclass(frozen=True)
class Networks:
    """Networks of a run. policy, teacher: their architectures; teacher is None where there is none.

    work: the work of the run. All numbers of bytes below are those of one rank.
    """

    policy: Architecture
    teacher: Architecture | None
    work: Workload

    @property
    def trained(self) -> int:
        """Return the number of trained weights."""
        counts, training = self.policy.counts, self.work.training
        if training.rank:
            return counts.adapters(training.rank, training.targets)
        return counts.decoder + (counts.vision if training.vision else 0)

    @property
    def policy_bytes(self) -> float:
        """Return the bytes of the whole policy, trained and frozen weights."""
        numbers, counts = self.work.numbers, self.policy.counts
        if self.work.training.rank:
            rest = (counts.total - counts.layers) * numbers.frozen
            return self.trained * numbers.trained + counts.layers * (numbers.base or numbers.frozen) + rest
        return self.trained * numbers.trained + (counts.total - self.trained) * numbers.frozen

    @property
    def frozen_bytes(self) -> dict[str, float]:
        """Return {name: bytes} of the networks other than the policy, unsharded.

        With adapters the reference is left out, since it is the policy without them and takes no bytes. Where the
        vision tower is frozen, reference and EMA share it with the policy, so that their bytes are those of the
        decoder.
        """
        numbers, signals = self.work.numbers, self.work.frozen.signals
        own = self.policy.counts.total if self.work.training.vision else self.policy.counts.decoder
        found: dict[str, float] = {}
        if "reference" in signals and not self.work.training.rank:
            found["reference"] = own * numbers.frozen
        if "ema" in signals:
            found["ema"] = own * numbers.trained
        if "teacher" in signals and self.teacher is not None:
            found["teacher"] = self.teacher.counts.total * numbers.frozen
        return found

    @property
    def weights(self) -> float:
        """Return the bytes of the policy's weights that stay on the device; 0 if they are offloaded."""
        ranks = self.work.ranks
        return 0.0 if ranks.offload else self.policy_bytes / ranks.parts

    @property
    def others(self) -> float:
        """Return the bytes of the networks other than the policy that stay on the device."""
        ranks = self.work.ranks
        fixed = {name: size for name, size in self.frozen_bytes.items() if name == "ema" or not ranks.aside}
        return self.left_gathered + (0.0 if ranks.offload else sum(fixed.values()) / ranks.parts)

    @property
    def left_gathered(self) -> float:
        """Return the bytes of a sharded teacher that stay gathered, since updates read its head; else 0."""
        if self.teacher is None or "hidden" not in self.work.frozen.signals.get("teacher", ()):
            return 0.0
        return self.outside(self.teacher, self.work.numbers.frozen)

    @property
    def largest_other(self) -> float:
        """Return the bytes of the largest network that is on the device during its passes alone; 0 where none is."""
        ranks = self.work.ranks
        return max((s for n, s in self.frozen_bytes.items() if n != "ema"), default=0.0) if ranks.aside else 0.0

    @property
    def optimizer(self) -> float:
        """Return the bytes of the optimizer's state on the device; 0 if it is offloaded."""
        ranks = self.work.ranks
        return 0.0 if ranks.offload else self.trained * self.work.numbers.state / ranks.parts

    @property
    def gradients(self) -> float:
        """Return the bytes of the gradients of this rank's weights, which stay between updates; 0 if offloaded."""
        ranks = self.work.ranks
        return 0.0 if ranks.offload else self.trained * self.work.numbers.trained / ranks.parts

    @property
    def buckets(self) -> float:
        """Return the bytes of the buckets that PyTorch's DDP allocates for gradients when it wraps the networks.

        They stay unused, since this project averages gradients itself. 0 with one rank, with sharding, and without a
        GPU, where memory that is never written takes no room.
        """
        ranks = self.work.ranks
        alone = ranks.count == 1 or ranks.sharded or not ranks.on_gpu
        return 0.0 if alone else float(self.trained * self.work.numbers.trained)

    @property
    def summed_once(self) -> bool:
        """Tell whether each rank holds whole gradients of sharded weights until the last of several passes."""
        ranks = self.work.ranks
        return ranks.sharded and ranks.sum_once and self.work.batch.passes > 1

    @property
    def earlier_gradients(self) -> float:
        """Return the bytes of gradients that earlier passes of an update have left: those of all but a vision tower."""
        share = 1 - self.policy.counts.vision / self.trained if self.work.training.vision else 1.0
        return share * (self.trained * self.work.numbers.trained if self.summed_once else self.gradients)

    @property
    def held_gradients(self) -> float:
        """Return the bytes of gradients while the backward pass makes those of its last decoder layer.

        With sharding the layer's gradients are whole, in the type of trained weights, until ranks sum them.
        """
        layer = self.policy.counts.layers / self.policy.decoder.layers * self.work.numbers.trained
        whole = 0.0 if self.work.training.rank or not self.work.ranks.sharded else layer
        return self.earlier_gradients + whole

    @property
    def last_gradients(self) -> float:
        """Return the bytes of gradients while ranks sum those of the weights outside of the layers, the last ones.

        With sharding these are there twice: as they were made, and in the type of trained weights.
        """
        numbers = self.work.numbers
        made = numbers.trained if self.summed_once else min(numbers.trained, numbers.product)
        return self.gradients + (self.root * (made + numbers.trained) if self.work.ranks.sharded else 0.0)

    @property
    def root(self) -> int:
        """Return the number of trained weights outside of the decoder's layers: embeddings and head."""
        counts = self.policy.counts
        return 0 if self.work.training.rank else counts.embeddings + counts.head

    @property
    def weight_bytes(self) -> int:
        """Return the bytes of one weight of the decoder layers; it depends on whether they are trained."""
        return self.work.numbers.frozen if self.work.training.rank else self.work.numbers.trained

    def gathered(self, architecture: Architecture, size: int) -> float:
        """Return the bytes of a sharded network's weights that a pass gathers at a time; 0 without sharding.

        These are all weights outside of its layers, and GROUPS_AT_ONCE layers. size: bytes of a stored weight.
        """
        if not self.work.ranks.sharded:
            return 0.0
        layers = GROUPS_AT_ONCE * architecture.counts.layers / architecture.decoder.layers
        return self.outside(architecture, size) + min(size, self.work.numbers.product) * layers

    def outside(self, architecture: Architecture, size: int) -> float:
        """Return the bytes of a sharded network's weights outside of its layers, gathered; 0 without sharding.

        size: bytes of a stored weight.
        """
        if not self.work.ranks.sharded:
            return 0.0
        counts = architecture.counts
        size, tower = (min(n, self.work.numbers.product) for n in (size, self.tower_bytes))
        return float(size * (counts.decoder - counts.layers) + counts.vision * tower)

    @property
    def in_passes(self) -> Numbers:
        """Return the bytes of each kind of number in a pass, where gathered weights are in the type of products."""
        numbers = self.work.numbers
        if not self.work.ranks.sharded:
            return numbers
        trained, frozen = (min(size, numbers.product) for size in (numbers.trained, numbers.frozen))
        return replace(numbers, trained=trained, frozen=frozen)

    @property
    def tower_bytes(self) -> int:
        """Return the bytes of one weight of the vision tower; it depends on whether the tower is trained."""
        return self.work.numbers.trained if self.work.training.vision else self.work.numbers.frozen

    @property
    def gathered_policy(self) -> float:
        """Return the bytes of the whole policy when ranks gather it; under bf16 arithmetic its weights are in bf16."""
        numbers = self.work.numbers
        adapters = self.trained if self.work.training.rank else 0
        return (self.policy.counts.total + adapters) * numbers.product if numbers.mixed else self.policy_bytes

    @property
    def for_rollout(self) -> float:
        """Return the bytes that a rollout holds beside the stored weights: gathered weights (sharding) and `copies`."""
        if not self.work.ranks.sharded:
            return self.copies
        return self.gathered_policy + (0.0 if self.work.numbers.mixed else self.copies)

    @property
    def copies(self) -> float:
        """Return the bytes of copies of weights in the type or layout that decoding reads; 0 where there are none."""
        numbers, batch = self.work.numbers, self.work.batch
        products = self.policy.counts.layers + self.head
        if numbers.mixed and self.weight_bytes > numbers.product:
            return float((self.head if numbers.base else products) * numbers.product)
        rows = batch.prompts * batch.group
        packed = not self.work.ranks.on_gpu and rows <= PACKED_ROWS and batch.response >= PACKED_STEPS
        return float(products * numbers.product) if packed and not numbers.mixed else 0.0

    @property
    def head(self) -> int:
        """Return the number of parameters of the output head, also where it is the table of embeddings."""
        counts = self.policy.counts
        return counts.head or counts.embeddings
