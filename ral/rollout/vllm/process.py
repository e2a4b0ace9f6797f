"""A vLLM engine in a process of its own; the process is started again where it ends by itself."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, TypeVar

import torch

from ral.errors import UserWarned
from ral.rollout.vllm.wire import Message, packed, unpacked
from ral.types import UserError

T = TypeVar("T")
MODULE = "ral.rollout.vllm.worker"
"""Main module of the process."""
PATIENCE = 20.0
"""Seconds for an engine to end after it is told to."""
OF_RANKS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")
"""Environment variables by which the trainer's ranks find each other, which an engine must not have."""
QUIET = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR", "TOKENIZERS_PARALLELISM": "false"}
ON_CPU = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "TORCHDYNAMO_DISABLE": "1"}
"""Variables on a CPU: no binding to cores, and no compiler, which would delay the first log-probs by half a minute."""


class Ended(Exception):
    """Error of a process that has ended; the message says how it ended."""


def check_package() -> None:
    """Raise UserError where vLLM is not installed."""
    if importlib.util.find_spec("vllm") is None:
        raise UserError(
            f"rollout=vllm: the package vllm is not installed for {sys.executable}: write pip install -e '.[vllm]' on a"
            " machine with a GPU; on others make vllm, then .venv-vllm/bin/python in place of python"
        )


def environment(device: torch.device, given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of an engine's process: no rank of the run, one GPU or none.

    device: device of the engine, by this process's numbering. given: environment variables of this process.
    """
    found = {
        name: value for name, value in given.items() if name not in OF_RANKS and not name.startswith("TORCHELASTIC")
    }
    found |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"} | {name: given.get(name, value) for name, value in QUIET.items()}
    if device.type == "cpu":
        return found | {"OMP_NUM_THREADS": str(torch.get_num_threads()), "CUDA_VISIBLE_DEVICES": ""} | ON_CPU
    visible = [name for name in given.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    index = device.index or 0
    return found | {"CUDA_VISIBLE_DEVICES": visible[index] if index < len(visible) else str(index)}


def server_environment(cpu: bool, given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of a server's process: `given`, with defaults that keep it quiet and quick.

    cpu: whether the server runs on a CPU.
    """
    quick = ON_CPU | {"OMP_NUM_THREADS": str(torch.get_num_threads())} if cpu else {}
    return {**quick, **QUIET, **given}


class Process:
    """One process with one vLLM engine.

    engine: arguments of the engine; env: environment variables; folder: folder of the weights, which the process
    removes when the trainer is gone; lock: file descriptor by which the process holds the folder
    (`ral.rollout.vllm.folders.hold`), None for none. Ended where the process does not start.
    """

    def __init__(self, engine: Mapping[str, Any], env: Mapping[str, str], folder: Path, lock: int | None) -> None:
        self.log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115, closed with the process
        self.pipe, theirs = Pipe()
        command = [sys.executable, "-m", MODULE, str(theirs.fileno())]
        self.popen = subprocess.Popen(
            command,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            pass_fds=(theirs.fileno(),) if lock is None else (theirs.fileno(), lock),
            start_new_session=True,  # Ctrl-C is for the trainer, which ends the engine when it has saved its state
        )
        theirs.close()
        try:
            self.exchange(Message({"engine": dict(engine), "folder": str(folder)}))
        except (Ended, UserError):
            self.close()
            raise

    def exchange(self, message: Message) -> Message:
        """Send a message and return the reply. Ended where the process has ended; UserError where vLLM refuses."""
        self.tell(message)
        return self.heard()

    def tell(self, message: Message) -> None:
        """Send a message, whose reply `heard` returns later. Ended where the process has ended."""
        try:
            self.pipe.send_bytes(packed(message))
        except OSError as error:
            raise Ended(self.how()) from error

    def heard(self) -> Message:
        """Wait for the reply to the message sent with `tell`, and return it.

        Ended where the process has ended; UserError where vLLM refuses.
        """
        try:
            reply = unpacked(self.pipe.recv_bytes())
        except (EOFError, OSError) as error:
            raise Ended(self.how()) from error
        if "error" in reply.head:
            raise UserError(f"rollout: vLLM refused: {reply.head['error']}")
        return reply

    def alive(self) -> bool:
        """Tell whether the process still runs."""
        return self.popen.poll() is None

    def how(self) -> str:
        """Return how the process ended: the signal, else the last line of its log, else the exit code.

        Waits for the end at most PATIENCE seconds, then kills the process.
        """
        try:
            code = self.popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            code = self.popen.wait()
        if code < 0:
            return f"signal {signal.Signals(-code).name}"
        self.log.seek(0)
        lines = [line.strip() for line in self.log.read().splitlines() if line.strip()]
        return lines[-1] if lines else f"exit code {code}"

    def close(self) -> None:
        """Tell the process to end, and kill it after PATIENCE seconds."""
        try:
            self.pipe.send_bytes(packed(Message({"do": "stop"})))
            self.popen.wait(PATIENCE)
        except (OSError, subprocess.TimeoutExpired):
            self.popen.kill()
            self.popen.wait()
        self.pipe.close()
        self.log.close()


Give = Callable[[Process], object]
"""Function that gives a process weights."""
WEIGHTS, CACHE = "weights", "kv_cache"
"""vLLM's names of the two kinds of memory that sleep and wake separately."""


class OwnProcess:
    """The vLLM engine of this rank, in a process that is started again where it ends, at most once for each message.

    engine, folder, lock: as in Process. device: device of the engine. given: {name: function that hands weights or
    adapters to a process}, called again for a process that is started later. asleep: those of WEIGHTS and CACHE that
    have no memory now. UserError where the process does not start.
    """

    def __init__(self, engine: Mapping[str, Any], device: torch.device, folder: Path, lock: int | None = None) -> None:
        self.engine, self.device, self.folder, self.lock = engine, device, folder, lock
        self.given: dict[str, Give] = {}
        self.asleep: set[str] = set()
        self.process = self.started()

    def started(self) -> Process:
        """Start a process and return it. UserError where it does not start."""
        try:
            return Process(self.engine, environment(self.device, os.environ), self.folder, self.lock)
        except Ended as ended:
            raise UserError(f"rollout=vllm: the engine did not start: {ended}{hint(str(ended))}") from None

    def restart(self, ended: Ended) -> None:
        """Start a process in place of one that ended, and warn. The new one is awake and holds the weights of the
        model's files.

        UserError where the process does not start.
        """
        pid = self.process.popen.pid
        warnings.warn(f"rollout=vllm: process {pid} of vLLM ended ({ended}): started again", UserWarned, stacklevel=2)
        self.process.close()
        self.process, self.asleep = self.started(), set()

    def ask(self, message: Message) -> list[Any]:
        """Return vLLM's responses to the prompts of a question (`ral.rollout.vllm.answers.Answered`).

        UserError as in `exchange`: where vLLM refuses, or where a process started again ends as well.
        """
        return list(self.exchange(message).head["answers"])

    def give(self, name: str, give: Give) -> None:
        """Hand weights or adapters to the process, now and after each later start of a process.

        name: WEIGHTS or "adapters"; a name given again replaces its function. give: function that hands them to a
        process. UserError where vLLM refuses, or where a process that takes the place of an ended one does not start or
        ends as well.
        """
        self.given[name] = give
        try:
            give(self.process)
        except Ended as ended:
            self.restart(ended)
            self.give_again(lambda: None)

    def exchange(self, message: Message) -> Message:
        """Send a message and return the reply. Where the process has ended, a new one is started and gets the message.

        UserError where vLLM refuses, or where the new process does not start or ends as well.
        """
        try:
            return self.process.exchange(message)
        except Ended as ended:
            self.restart(ended)
        return self.give_again(lambda: self.process.exchange(message))

    def give_again(self, then: Callable[[], T]) -> T:
        """Call all functions in `given` for a new process, then call `then` and return its result.

        UserError where vLLM refuses, or the process ends.
        """
        try:
            for give in self.given.values():
                give(self.process)
            return then()
        except Ended as ended:
            raise UserError(
                f"rollout=vllm: vLLM's process ended twice on one question ({ended}): write rollout=native"
            ) from None

    def sleep(self, level: int) -> None:
        """Free the memory of weights and caches. level: 1 keeps weights in main memory, 2 drops them."""
        self.exchange(Message({"do": "sleep", "level": level}))
        self.asleep = {WEIGHTS, CACHE}

    def wake(self, name: str) -> bool:
        """Let vLLM take memory again for its weights or its caches; return False where these were not asleep.

        name: WEIGHTS or CACHE.
        """
        if name not in self.asleep:
            return False
        self.exchange(Message({"do": "wake", "tags": [name]}))
        self.asleep.discard(name)
        return True

    def close(self) -> None:
        """End the process, at most after PATIENCE seconds."""
        self.process.close()


def hint(words: str) -> str:
    """Return a remedy for an engine that did not start; "" where none is known. words: the last line of its log."""
    if "torchvision" in words:
        return (
            ": torchvision does not fit this torch: write make vllm, or install the one of the same release and build"
        )
    if "memory" in words.lower():
        return ": write a smaller rollout.engine.cache_gb, or rollout.engine.max_length"
    return ""
