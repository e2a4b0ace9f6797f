"""One of two ranks with sharded weights (FSDP2, gloo): buckets to a process that is a list; on rank 1 it ends once.

python sharded_streams.py RANK FOLDER MODEL ENDS: writes what arrived to FOLDER/RANK.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from stub_vllm_worker import digest
from torch.distributed.device_mesh import init_device_mesh

from ral.models.mllm import MLLM
from ral.models.sharding import shard_layers
from ral.rollout.vllm import transports
from ral.rollout.vllm.packing import unpacked_bucket
from ral.rollout.vllm.process import Ended
from ral.rollout.vllm.transports import Streams
from ral.rollout.vllm.weights import is_sharded


class Process:
    """Keeps what arrives. ends: number of buckets after which it ends; None for never."""

    def __init__(self, ends: int | None = None) -> None:
        self.ends, self.sizes, self.found, self.done = ends, list[int](), dict[str, torch.Tensor](), list[str]()

    def exchange(self, message: Any) -> None:
        self.done.append(message.head["do"])

    def take(self, head: dict[str, Any], values: torch.Tensor) -> None:
        if self.ends is not None and len(self.sizes) == self.ends:
            raise Ended("signal SIGKILL")
        self.sizes.append(values.nbytes)
        self.found |= dict(unpacked_bucket(head, values))


class Own:
    """An engine of one rank, whose successor does not end."""

    def __init__(self, ends: int | None) -> None:
        self.process, self.given, self.restarts = Process(ends), dict[str, Any](), 0

    def restart(self, ended: Ended) -> None:
        self.process, self.restarts = Process(), self.restarts + 1


def main(rank: int, folder: Path, model: str, ends: int | None) -> None:
    """Hand over once, and write what arrived."""
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    policy = MLLM.load(model)
    shard_layers(policy, init_device_mesh("cpu", (2,)))
    transports.STREAMED = 30_000
    own: Any = Own(ends if rank == 1 else None)
    stream = Streams(lambda process, head, values: process.take(head, values), torch.device("cpu"))  # type: ignore[attr-defined]
    stream(policy, own, torch.float32, True)
    facts = {"digest": digest(own.process.found), "sizes": own.process.sizes, "done": own.process.done}
    facts |= {"restarts": own.restarts, "sharded": is_sharded(policy)}
    (folder / f"{rank}.json").write_text(json.dumps(facts))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]) if sys.argv[4] != "-" else None)
