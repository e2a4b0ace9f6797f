"""Ways of the policy's weights to an engine's process: files, handles of the trainer's memory, or a broadcast.

Each is called on every rank together, gathers sharded weights a bucket at a time, and hands over nothing else.
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
    """Safetensors files in `folder`, written once on each machine, which the engines of its ranks read."""

    folder: Path

    def __call__(self, policy: MLLM, own: OwnProcess, dtype: torch.dtype, merge: bool) -> None:
        """Hand over the weights (`named_weights`). UserError, on all ranks, where one has an error."""
        files = write_weights(policy, dtype, self.folder, first_of_node(), merge)
        message = Message({"do": "push", "files": [str(file) for file in files]})
        on_each_rank(lambda: own.give(WEIGHTS, lambda process: process.exchange(message)))


def by_handle(process: Process, head: dict[str, Any], values: Tensor) -> None:
    """Let the process copy a bucket out of this process's memory."""
    if values.is_cuda:
        torch.cuda.synchronize(values.device)
    process.exchange(Message({"do": "bucket", **head, "handle": handle_of(values)}))


class Broadcasts:
    """Sends buckets over a process group with the engine's process; makes one for each process that it meets.

    folder: both see it, and find each other by a file in it. device: of the weights here.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.folder, self.device = folder, device
        self.groups: dict[int, Any] = {}

    def group(self, process: Process) -> Any:
        """Return the group with a process. Ended where it has ended."""
        pid = process.popen.pid
        if pid not in self.groups:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = self.folder / f"meeting-{pid}-{os.urandom(4).hex()}"
            process.tell(Message({"do": "join", "file": str(file)}))
            self.groups = {pid: joined(file, TRAINER, self.device)}
            process.heard()
        return self.groups[pid]

    def __call__(self, process: Process, head: dict[str, Any], values: Tensor) -> None:
        """Send a bucket. Ended where the process has ended; UserError where the broadcast fails."""
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
    """Buckets handed over one after another by `send`, from the memory of `device`."""

    send: Send
    device: torch.device

    def __call__(self, policy: MLLM, own: OwnProcess, dtype: torch.dtype, merge: bool) -> None:
        """Hand over the weights (`named_weights`). UserError, on all ranks, where one has an error.

        Where a process ends it is started again, and all ranks hand over once more, since each gathers with the others.
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
        """Hand the weights to a process; return the error that it met. It gathers all of them all the same."""
        error = failure(lambda: process.exchange(Message({"do": "begin"})))
        for bucket in buckets(policy, dtype, STREAMED, self.device, merge):
            if error is None:
                error = failure(lambda held=bucket: self.send(process, *packed_bucket(held)))  # type: ignore[misc]
        if self.device.type == "cuda":
            torch.cuda.ipc_collect()
        return error or failure(lambda: process.exchange(Message({"do": "finish"})))

    def again(self, policy: MLLM, process: Process, dtype: torch.dtype, merge: bool) -> None:
        """Give a new process the weights, on one rank alone. UserError where they are sharded."""
        if is_sharded(policy):
            raise UserError(
                "rollout=vllm: weights are sharded, and one rank alone cannot gather them for a new process: write "
                "resume=auto, and rollout.engine.transport=file, which a new process reads"
            )
        if (error := self.attempt(policy, process, dtype, merge)) is not None:
            raise error


def failure(call: Callable[[], object]) -> UserError | Ended | None:
    """Return the error of a call where it is that of a process that refuses or has ended; None for none."""
    try:
        call()
    except (UserError, Ended) as error:
        return error
    return None


def transport_of(name: str, folder: Path, trainer: torch.device, engine: torch.device) -> Files | Streams:
    """Return the transport of a name; auto: files on a CPU, handles within a GPU, broadcasts between two.

    folder: of what is handed over. trainer, engine: devices of both.
    """
    if name == "auto":
        name = "file" if trainer.type == "cpu" else "ipc" if trainer == engine else "broadcast"
    if name == "file":
        return Files(folder)
    return Streams(by_handle if name == "ipc" else Broadcasts(folder, trainer), trainer)
