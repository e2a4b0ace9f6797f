"""The work of a run as plain numbers: sizes of batches, bytes of numbers, and the place of networks on the ranks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Batch:
    """Sizes of a batch on one rank. prompts: number of prompts in a step. micro: number of prompts in a forward pass.

    group: number of responses to each prompt. text, visual: text tokens and visual tokens of the longest prompt.
    response: tokens of the longest response. part: number of responses of a group in a pass of an update; None for all.
    """

    prompts: int
    micro: int
    group: int
    text: int
    visual: int
    response: int
    part: int | None = None

    @property
    def prompt(self) -> int:
        """Return the number of tokens of the longest prompt."""
        return self.text + self.visual

    @property
    def together(self) -> int:
        """Return the number of responses to a prompt in a forward pass."""
        return min(self.part or self.group, self.group)

    @property
    def parts(self) -> int:
        """Return the number of forward passes for a group."""
        return -(-self.group // self.together)

    @property
    def tokens(self) -> int:
        """Return the number of tokens of a forward pass: micro * (prompt + together * response)."""
        return self.micro * (self.prompt + self.together * self.response)

    @property
    def answers(self) -> int:
        """Return the number of response tokens of a forward pass."""
        return self.micro * self.together * self.response

    @property
    def passes(self) -> int:
        """Return the number of forward passes of an update."""
        return -(-self.prompts // self.micro) * self.parts


@dataclass(frozen=True)
class Numbers:
    """Bytes of one number of each kind. product: operands of matrix products. stream: hidden states between layers.

    trained, frozen: a trained and a frozen weight. base: a weight of the decoder layers in 4 bits under adapters; 0
    where these have the bytes of `frozen`. state: the optimizer's state for each weight. scratch: memory that the
    optimizer's step allocates for each weight (the bytes of a trained weight in torch's foreach AdamW, none in the
    fused one). mixed: whether products cast their operands.
    """

    product: int = 4
    stream: int = 4
    trained: int = 4
    frozen: int = 4
    base: float = 0.0
    state: int = 8
    scratch: int = 0
    mixed: bool = False


@dataclass(frozen=True)
class Ranks:
    """Processes of a run, and the place of networks on them. devices: processes a node. nodes: number of nodes.

    sharded: whether networks are sharded over all processes. sum_once: whether gradients of sharded weights stay whole
    on each rank until they are summed, once an update. offload: whether shards stay in main memory. aside: whether
    frozen networks stay in main memory between their passes. on_gpu: whether there are GPUs.
    """

    devices: int = 1
    nodes: int = 1
    sharded: bool = False
    sum_once: bool = True
    offload: bool = False
    aside: bool = False
    on_gpu: bool = True

    @property
    def count(self) -> int:
        """Return the number of processes."""
        return self.devices * self.nodes

    @property
    def parts(self) -> int:
        """Return the number of parts into which a network is sharded; 1 without sharding."""
        return self.count if self.sharded else 1


@dataclass(frozen=True)
class Training:
    """Training of the policy. updates: number of updates on each rollout. rank: rank of adapters; 0 for none.

    targets: names of the linear layers that get an adapter. checkpointing: whether layers are recomputed. aside:
    whether their inputs wait in main memory meanwhile. vision: whether the vision tower is trained. gradients: number
    of terms whose own gradients diagnostics hold. captured: number of decoder layers whose attention an update reads.
    """

    updates: int = 1
    rank: int = 0
    targets: tuple[str, ...] = ()
    checkpointing: bool = False
    vision: bool = False
    gradients: int = 0
    captured: int = 0
    aside: bool = False


@dataclass(frozen=True)
class Frozen:
    """Frozen signals of a run, and its sampling. signals: {model: kinds}, such as {"teacher": ("rows", "hidden")}.

    layers: number of layers in attention rows. sampled: whether the native engine samples responses. graphs: whether
    decoding steps run as CUDA graphs. others: responses sampled beside the groups, as a share of these.
    """

    signals: Mapping[str, tuple[str, ...]]
    layers: int = 1
    sampled: bool = True
    graphs: bool = False
    others: float = 0.0


@dataclass(frozen=True)
class Upkeep:
    """Work beside the steps. evaluations: number of evaluations in a run. held_out: prompts of each, over all ranks.

    batch: number of these prompts that a rank answers at once. checkpoints: number of checkpoints on disk, the one
    being written included. workers: processes that decode media. ahead: batches that each of them reads ahead at most.
    cache_gb: decoded media that each of them keeps, in GB.
    """

    evaluations: int = 0
    held_out: int = 0
    batch: int = 1
    checkpoints: int = 1
    workers: int = 0
    ahead: int = 2
    cache_gb: float = 0.0


@dataclass(frozen=True)
class Workload:
    """Work of a run: the number of its steps, and the sizes and places of everything that they need."""

    steps: int
    batch: Batch
    numbers: Numbers
    ranks: Ranks
    training: Training
    frozen: Frozen
    upkeep: Upkeep
