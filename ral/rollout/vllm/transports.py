"""Transports of the policy's weights to an engine's process: files, handles of the trainer's memory, broadcasts.

All ranks call a transport at the same time, since sharded weights are gathered from all ranks, one bucket at a time.
Adapters that are sent alone go by `write_adapters`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ral.models.mllm import MLLM
from ral.rollout.vllm.handles import handle_of
from ral.rollout.vllm.packing import packed_bucket
from ral.rollout.vllm.pair import TRAINER, broadcast, joined
from ral.rollout.vllm.process import WEIGHTS, Ended, OwnProcess, Process
from ral.rollout.vllm.weights import (
    buckets,
    first_of_node,
    is_sharded,
    on_all_ranks,
    on_any_rank,
    on_each_rank,
    write_weights,
)
from ral.rollout.vllm.wire import Message
from ral.types import UserError

STREAMED = 2**28
"""Number of bytes of weights that are handed over at once by handles and by broadcasts."""
Send = Callable[[Process, dict[str, Any], Tensor], None]
"""Function that hands a process one bucket: what `packed_bucket` returns."""


@dataclass(frozen=True)
class Files:
    """Transport by safetensors files in `folder`, written once on each machine and read by the engines of its ranks."""

    folder: Path

    def __call__(self, policy: MLLM, own: OwnProcess, dtype: torch.dtype, merge: bool) -> None:
        """Write the weights and have the engine's process read them.

        dtype, merge: as in `named_weights`. UserError, on all ranks, where one of them has an error.
        """
        files = write_weights(policy, dtype, self.folder, first_of_node(), merge)
        message = Message({"do": "push", "files": [str(file) for file in files]})
        on_each_rank(lambda: own.give(WEIGHTS, lambda process: process.exchange(message)))


def by_handle(process: Process, head: dict[str, Any], values: Tensor) -> None:
    """Let a process copy a bucket from this process's memory. head, values: results of `packed_bucket`.

    Ended where the process has ended; UserError where vLLM refuses.
    """
    if values.is_cuda:
        torch.cuda.synchronize(values.device)
    process.exchange(Message({"do": "bucket", **head, "handle": handle_of(values)}))


class Broadcasts:
    """Transport of buckets by broadcast in a process group with the engine's process.

    folder: folder that both processes see, for the files by which they meet. device: device of the weights in this
    process. groups: {process id: group} of the newest process.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.folder, self.device = folder, device
        self.groups: dict[int, Any] = {}

    def group(self, process: Process) -> Any:
        """Return the process group with a process, made at the first call for it. Ended where the process has ended."""
        pid = process.popen.pid
        if pid not in self.groups:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = self.folder / f"meeting-{pid}-{os.urandom(4).hex()}"
            process.tell(Message({"do": "join", "file": str(file)}))
            self.groups = {pid: joined(file, TRAINER, self.device)}
            process.heard()
        return self.groups[pid]

    def __call__(self, process: Process, head: dict[str, Any], values: Tensor) -> None:
        """Send a bucket by broadcast to a process, which loads it. head, values: results of `packed_bucket`.

        Ended where the process has ended; UserError where the broadcast fails or vLLM refuses.
        """
        group = self.group(process)
        process.tell(Message({"do": "bucket", **head}))
        arrived = broadcast(group, values, process.alive)
        process.heard()
        if not arrived:
            raise UserError(
                "rollout.engine.transport: a broadcast of weights failed: write rollout.engine.transport=file"
            )


@dataclass(frozen=True)
class Streams:
    """Transport of weights in buckets, which `send` hands over one after another from the memory of `device`."""

    send: Send
    device: torch.device

    def __call__(self, policy: MLLM, own: OwnProcess, dtype: torch.dtype, merge: bool) -> None:
        """Hand the weights over to the engine's process. dtype, merge: as in `named_weights`.

        Where a process ends on some rank, it is started again, and all ranks hand over once more, since all are needed
        to gather weights. UserError, on all ranks, where one of them has an error.
        """
        own.given[WEIGHTS] = lambda process: self.again(policy, process, dtype, merge)
        for _ in range(2):
            error = self.attempt(policy, own.process, dtype, merge)
            on_all_ranks(str(error) if isinstance(error, UserError) else None)
            if not on_any_rank(isinstance(error, Ended)):
                return
            on_each_rank(lambda met=error: own.restart(met) if isinstance(met, Ended) else None)  # type: ignore[misc]
        twice = f"rollout=vllm: vLLM's process ended twice as it got weights ({error}): write rollout=native"
        on_all_ranks(twice if error else None)

    def attempt(self, policy: MLLM, process: Process, dtype: torch.dtype, merge: bool) -> UserError | Ended | None:
        """Hand the weights to a process; return the UserError or Ended with which it refused them or ended, or None.

        dtype, merge: as in `named_weights`. After an error the remaining buckets are gathered but not sent, since
        gathering needs all ranks.
        """
        error = failure(lambda: process.exchange(Message({"do": "begin"})))
        for bucket in buckets(policy, dtype, STREAMED, self.device, merge):
            if error is None:
                error = failure(lambda held=bucket: self.send(process, *packed_bucket(held)))  # type: ignore[misc]
        if self.device.type == "cuda":
            torch.cuda.ipc_collect()
        return error or failure(lambda: process.exchange(Message({"do": "finish"})))

    def again(self, policy: MLLM, process: Process, dtype: torch.dtype, merge: bool) -> None:
        """Hand the weights to a process that was started again, on this rank alone.

        UserError where the weights are sharded, or the process refuses them; Ended where it has ended.
        """
        if is_sharded(policy):
            raise UserError(
                "rollout=vllm: weights are sharded, and one rank alone cannot gather them for a new process: write "
                "resume=auto, and rollout.engine.transport=file, which a new process reads"
            )
        if (error := self.attempt(policy, process, dtype, merge)) is not None:
            raise error


def failure(call: Callable[[], object]) -> UserError | Ended | None:
    """Call a function; return the error of a process that refuses (UserError) or has ended (Ended), else None."""
    try:
        call()
    except (UserError, Ended) as error:
        return error
    return None


def transport_of(name: str, folder: Path, trainer: torch.device, engine: torch.device) -> Files | Streams:
    """Return the transport called `name`: "file", "ipc", "broadcast" or "auto".

    "auto" is files on a CPU, handles where engine and trainer share a GPU, broadcast between two GPUs. folder: folder
    for the files of a transport. trainer, engine: device of each.
    """
    if name == "auto":
        name = "file" if trainer.type == "cpu" else "ipc" if trainer == engine else "broadcast"
    if name == "file":
        return Files(folder)
    return Streams(by_handle if name == "ipc" else Broadcasts(folder, trainer), trainer)
