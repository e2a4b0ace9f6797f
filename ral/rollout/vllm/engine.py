"""The rollout engine `vllm`: each rank asks a vLLM engine in a process of its own, on the trainer's device."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from ral.machine import DROPS, BesideTrainer
from ral.models.mllm import MLLM
from ral.rollout.engine import Sampling
from ral.rollout.seeds import prompt_seeds
from ral.rollout.vllm.adapters import arguments_for, rank_of, write_adapters
from ral.rollout.vllm.answers import rollout_of
from ral.rollout.vllm.arguments import engine_arguments, head_rows
from ral.rollout.vllm.process import CACHE, WEIGHTS, OwnProcess, check_package
from ral.rollout.vllm.questions import Kind, ask, check_family, numbers
from ral.rollout.vllm.transports import Files, Streams, transport_of
from ral.rollout.vllm.weights import first_of_node, make_folder, on_each_rank
from ral.rollout.vllm.wire import Message
from ral.types import Prepared, Rollout, UserError

Adapters = Literal["merged", "alone"]
"""Whether adapters are added into the weights that are handed over, or handed over beside them."""
Transport = Literal["auto", "file", "ipc", "broadcast"]
"""Way of weights from trainer to engine."""
PRECISIONS = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16}
"""dtype of vLLM's arithmetic, by the trainer's precision."""


def engine_dtype(policy: MLLM, precision: str) -> torch.dtype:
    """Return the dtype of an engine's arithmetic; auto: the policy's. UserError for an unknown precision."""
    if precision != "auto" and precision not in PRECISIONS:
        raise UserError(f"rollout.engine.precision={precision}: write {', '.join(PRECISIONS)} or auto")
    return PRECISIONS.get(precision, policy.dtype)


def answered(policy: MLLM, asked: Any, kind: Kind, prompts: Prepared, count: int, sampling: Sampling, seed: int) -> Any:
    """Return vLLM's answers (ral.rollout.vllm.answers.Answered) to prompts.

    asked: function that sends a message and returns the answers. UserError as `numbers` and `ask`.
    """
    parameters = numbers(policy.processor, count, sampling)
    uids = [example.uid for example in prompts.prompts.examples]
    return asked(ask(policy.processor, prompts, parameters, prompt_seeds(uids, seed), kind))


@dataclass(frozen=True)
class Handover:
    """Way of the weights to an engine. adapters: merged (into the weights) or alone (sent beside the frozen weights).

    transport: file, ipc (CUDA IPC; on a CPU shared memory), broadcast (NCCL; on a CPU gloo), or auto for what fits the
    devices. folder: of files that are handed over; None for main memory. sleep: vLLM's level of sleep between rollouts;
    None for no sleep.
    """

    adapters: Adapters = "merged"
    transport: Transport = "auto"
    folder: str | None = None
    sleep: int | None = None


class VLLMEngine:
    """Rollout engine that samples from a copy of the weights in a vLLM process of this rank.

    The responses to a prompt depend on its AnswerKey, and on a GPU on rounding. media, precision, device: as of
    `vllm_engine`. settings: keywords of `engine_arguments`. UserError where vLLM is missing, does not serve the family,
    or cannot be given weights as asked.
    """

    max_lag: float = 0

    def __init__(
        self,
        policy: MLLM,
        *,
        media: Kind,
        precision: str,
        device: int | None,
        handover: Handover,
        settings: Mapping[str, Any],
    ) -> None:
        check_package()
        check_family(policy.processor)
        self.policy, self.media, self.dtype, self.version = policy, media, engine_dtype(policy, precision), 0
        self.own_device, self.handover, self.settings = device, handover, settings
        check_beside(self.beside())
        self.folder: Path | None = None
        self.process: OwnProcess | None = None
        self.transport: Files | Streams | None = None
        self.open = False

    def beside(self, **known: bool) -> BesideTrainer:
        """Return what is asked of this engine. known: facts about its device."""
        way = self.handover
        rank = rank_of(self.policy)
        return BesideTrainer(way.adapters, rank, way.transport, way.sleep, half=self.dtype.itemsize == 2, **known)

    def generate(self, prompts: Prepared, count: int, sampling: Sampling, seed: int) -> Rollout:
        """Return a rollout of N = B * count responses. UserError where vLLM reads other ids, and for noise."""
        assert self.process is not None, "the engine is asked before it was given weights"
        with self.session():
            found = answered(self.policy, self.process.ask, self.media, prompts, count, sampling, seed)
        return rollout_of(self.policy.processor, prompts, found, count, sampling, self.version)

    @contextmanager
    def session(self) -> Iterator[None]:
        """Keep the engine awake inside the block; a block inside another one does nothing, nor without sleep."""
        if self.open or self.process is None or self.handover.sleep is None:
            yield
            return
        self.wake(self.process)
        self.open = True
        try:
            yield
        finally:
            self.open = False
        self.process.sleep(self.handover.sleep)

    def wake(self, process: OwnProcess) -> None:
        """Wake the weights, hand them over again where the sleep has dropped them, then wake the caches."""
        make_room(self.policy)
        if process.wake(WEIGHTS) and self.handover.sleep == DROPS:
            self.hand_over(process)
        process.wake(CACHE)

    def update_weights(self, policy: MLLM, version: int) -> None:
        """Hand the weights to every rank's engine; the first call starts it. An engine that sleeps wakes for weights.

        Its caches sleep on, until the next session.
        """
        self.policy = policy
        self.folder = self.folder or make_folder(self.handover.folder)
        on_each_rank(self.start)
        assert self.process is not None
        make_room(policy)
        self.process.wake(WEIGHTS)
        self.hand_over(self.process)
        self.version = version

    def hand_over(self, process: OwnProcess) -> None:
        """Hand over the weights with adapters merged; else the frozen weights, where it has none yet, and the adapters.

        All ranks call it together. UserError, on all of them, where one has an error.
        """
        assert self.transport is not None and self.folder is not None
        merge = self.handover.adapters == "merged"
        if merge or WEIGHTS not in process.given:
            self.transport(self.policy, process, self.dtype, merge)
        if not merge:
            message = Message(
                {"do": "adapter", "folder": str(write_adapters(self.policy, self.folder, first_of_node()))}
            )
            on_each_rank(lambda: process.give("adapters", lambda each: each.exchange(message)))

    def start(self) -> None:
        """Start the engine's process, where it has not started; call it once the policy is on its device."""
        if self.process is not None:
            return
        trainer = engine = self.policy.device
        if trainer.type == "cuda" and self.own_device is not None:
            engine = torch.device("cuda", self.own_device)
        check_beside(self.beside(cpu=trainer.type == "cpu", own_gpu=trainer != engine))
        assert self.folder is not None
        self.transport = transport_of(self.handover.transport, self.folder, trainer, engine)
        rows = head_rows(self.policy.network.config)
        name = str(self.dtype).removeprefix("torch.")
        made = {**self.settings, "options": {**self.further(), **(self.settings.get("options") or {})}}
        arguments = engine_arguments(self.policy.processor, rows, name, cpu=engine.type == "cpu", **made)
        self.process = OwnProcess(arguments, engine, self.folder)

    def further(self) -> dict[str, Any]:
        """Return the arguments of vLLM's engine that the hand-over asks for."""
        found: dict[str, Any] = {} if self.handover.sleep is None else {"enable_sleep_mode": True}
        if self.handover.adapters == "alone":
            found |= arguments_for(rank_of(self.policy))
        return found

    def close(self) -> None:
        """End the engine's process and remove the files of its weights."""
        if self.process is not None:
            self.process.close()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def check_beside(asked: BesideTrainer) -> None:
    """Raise UserError for what an engine cannot do."""
    if (fault := asked.fault()) is not None:
        raise UserError(fault)


def make_room(policy: MLLM) -> None:
    """Give memory that PyTorch keeps for later back to the GPU, which the engine is about to use."""
    if policy.device.type == "cuda":
        torch.cuda.empty_cache()


def vllm_engine(
    policy: MLLM,
    *,
    media: Kind = "embeddings",
    precision: str = "auto",
    max_length: int | None = None,
    cache_gb: float = 1.0,
    device: int | None = None,
    folder: str | None = None,
    options: Mapping[str, Any] | None = None,
    adapters: Adapters = "merged",
    transport: Transport = "auto",
    sleep: bool = False,
    sleep_level: Literal[1, 2] = 1,
) -> VLLMEngine:
    """Return the engine of these settings (conf/rollout/vllm.yaml).

    media: what is sent of images and videos, the trainer's visual embeddings or pixels. precision: key of PRECISIONS,
    or auto for the policy's. max_length: tokens of a prompt with its response; None for a default. cache_gb: GiB for
    keys and values. device: index of another GPU than the trainer's; None for the same. options: further arguments of
    vLLM's engine. folder, adapters, transport: as of Handover. sleep: whether the engine frees its memory between
    rollouts: at sleep_level 1 weights go to main memory, at 2 they are dropped and handed over again.
    """
    handover = Handover(adapters, transport, folder, sleep_level if sleep else None)
    settings = {"max_length": max_length, "cache_gb": cache_gb, "options": options}
    return VLLMEngine(policy, media=media, precision=precision, device=device, handover=handover, settings=settings)
