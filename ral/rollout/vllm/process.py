"""A vLLM engine in a process of its own, started again once where it ends by itself."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import torch

from ral.errors import UserWarned
from ral.rollout.vllm.wire import Message, packed, unpacked
from ral.types import UserError

MODULE = "ral.rollout.vllm.worker"
"""Main of the process."""
PATIENCE = 20.0
"""Seconds for an engine to end by itself, once it is told to."""
OF_RANKS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")
"""Variables by which the trainer's processes find each other: an engine is none of them."""
QUIET = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR", "TOKENIZERS_PARALLELISM": "false"}
ON_CPU = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "TORCHDYNAMO_DISABLE": "1"}
"""Cores stay the scheduler's choice; the first log-probs would wait half a minute for a compiler otherwise."""


class Ended(Exception):
    """The process is gone; the message says how."""


def check_package() -> None:
    """Raise UserError where vLLM is not installed."""
    if importlib.util.find_spec("vllm") is None:
        raise UserError(
            f"rollout=vllm: the package vllm is not installed for {sys.executable}: write pip install -e '.[vllm]' on a"
            " machine with a GPU; on others make vllm, then .venv-vllm/bin/python in place of python"
        )


def environment(device: torch.device, given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an engine's process: the engine core within it, on one device, no rank of the run."""
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
    """Return the variables of a server's process: all of its own, and what keeps it quiet and quick."""
    quick = ON_CPU | {"OMP_NUM_THREADS": str(torch.get_num_threads())} if cpu else {}
    return {**quick, **QUIET, **given}


class Process:
    """One process with one engine. engine: its arguments; folder: of weights, removed where the trainer is gone."""

    def __init__(self, engine: Mapping[str, Any], env: Mapping[str, str], folder: Path) -> None:
        self.log = tempfile.NamedTemporaryFile("w+", prefix="ral-vllm-", suffix=".log")  # noqa: SIM115, closed with the process
        self.pipe, theirs = Pipe()
        command = [sys.executable, "-m", MODULE, str(theirs.fileno())]
        self.popen = subprocess.Popen(
            command,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,  # Ctrl-C is for the trainer, which ends the engine when it has saved its state
        )
        theirs.close()
        self.exchange(Message({"engine": dict(engine), "folder": str(folder)}))

    def exchange(self, message: Message) -> Message:
        """Return the reply to a message. Ended where the process is gone; UserError for what it refuses."""
        try:
            self.pipe.send_bytes(packed(message))
            reply = unpacked(self.pipe.recv_bytes())
        except (EOFError, OSError) as error:
            raise Ended(self.how()) from error
        if "error" in reply.head:
            raise UserError(f"rollout: vLLM refused: {reply.head['error']}")
        return reply

    def how(self) -> str:
        """Tell how the process ended: by which signal, or with which last line."""
        try:
            code = self.popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            code = self.popen.wait()
        if code < 0:
            return f"signal {signal.Signals(-code).name}"
        lines = [line.strip() for line in Path(self.log.name).read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else f"exit code {code}"

    def close(self) -> None:
        """Tell the process to end; end it where it does not."""
        try:
            self.pipe.send_bytes(packed(Message({"do": "stop"})))
            self.popen.wait(PATIENCE)
        except (OSError, subprocess.TimeoutExpired):
            self.popen.kill()
            self.popen.wait()
        self.pipe.close()
        self.log.close()


class OwnProcess:
    """The engine of this rank: asked by messages, started again once where it ends by itself.

    files: of the weights that it was given last, which a new process gets too.
    """

    def __init__(self, engine: Mapping[str, Any], device: torch.device, folder: Path) -> None:
        self.engine, self.device, self.folder = engine, device, folder
        self.files: list[str] = []
        self.process = self.started()

    def started(self) -> Process:
        """Start a process. UserError where none comes up."""
        try:
            return Process(self.engine, environment(self.device, os.environ), self.folder)
        except Ended as ended:
            raise UserError(f"rollout=vllm: the engine did not start: {ended}{hint(str(ended))}") from None

    def ask(self, message: Message) -> list[Any]:
        """Return the answers to a question."""
        return list(self.exchange(message).head["answers"])

    def push(self, files: Sequence[Path], version: int) -> None:
        """Read weights, and drop what the old ones made."""
        self.files = [str(file) for file in files]
        self.exchange(Message({"do": "push", "files": self.files}))

    def exchange(self, message: Message) -> Message:
        """Return the reply to a message, of a new process where the old one is gone. UserError where that ends, too."""
        try:
            return self.process.exchange(message)
        except Ended as ended:
            pid = self.process.popen.pid
            warnings.warn(
                f"rollout=vllm: process {pid} of vLLM ended ({ended}): started again", UserWarned, stacklevel=2
            )
        self.process.close()
        self.process = self.started()
        try:
            if message.head["do"] != "push" and self.files:
                self.process.exchange(Message({"do": "push", "files": self.files}))
            return self.process.exchange(message)
        except Ended as ended:
            raise UserError(
                f"rollout=vllm: vLLM's process ended twice on one question ({ended}): write rollout=native"
            ) from None

    def close(self) -> None:
        """End the process."""
        self.process.close()


def hint(words: str) -> str:
    """Return a remedy for the last words of an engine that did not start."""
    if "torchvision" in words:
        return (
            ": torchvision does not fit this torch: write make vllm, or install the one of the same release and build"
        )
    if "memory" in words.lower():
        return ": write a smaller rollout.engine.cache_gb, or rollout.engine.max_length"
    return ""
