"""The rollout engine `vllm`: each rank has a vLLM engine in a process of its own, on the trainer's or another GPU."""

from __future__ import annotations

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
from ral.rollout.vllm.folders import hold, remove
from ral.rollout.vllm.process import CACHE, WEIGHTS, OwnProcess, check_package
from ral.rollout.vllm.questions import Kind, ask, check_family, numbers
from ral.rollout.vllm.transports import Files, Streams, transport_of
from ral.rollout.vllm.weights import first_of_node, make_folder, on_each_rank
from ral.rollout.vllm.wire import Message
from ral.types import Prepared, Rollout, UserError

Adapters = Literal["merged", "alone"]
"""How adapters reach the engine: "merged", added into the weights; "alone", as factors beside the weights."""
Transport = Literal["auto", "file", "ipc", "broadcast"]
"""Way of weights from trainer to engine."""
PRECISIONS = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16}
"""dtype of vLLM's arithmetic, by the trainer's precision."""


def engine_dtype(policy: MLLM, precision: str) -> torch.dtype:
    """Return the dtype of an engine's arithmetic. UserError for an unknown precision.

    precision: key of PRECISIONS, or "auto" for the policy's dtype.
    """
    if precision != "auto" and precision not in PRECISIONS:
        raise UserError(f"rollout.engine.precision={precision}: write {', '.join(PRECISIONS)} or auto")
    return PRECISIONS.get(precision, policy.dtype)


def answered(policy: MLLM, asked: Any, kind: Kind, prompts: Prepared, count: int, sampling: Sampling, seed: int) -> Any:
    """Ask vLLM for `count` responses to each of the prompts; return its replies (ral.rollout.vllm.answers.Answered).

    asked: function that sends a message to vLLM and returns the replies. kind: form in which media are sent. seed:
    together with the uid of a prompt it fixes the prompt's random numbers. UserError for noise, and for media that vLLM
    cannot serve.
    """
    parameters = numbers(policy.processor, count, sampling)
    uids = [example.uid for example in prompts.prompts.examples]
    return asked(ask(policy.processor, prompts, parameters, prompt_seeds(uids, seed), kind))


@dataclass(frozen=True)
class Handover:
    """Way in which weights reach an engine.

    adapters: "merged" into the weights, or "alone", beside the frozen weights. transport: "file", "ipc" (CUDA IPC; on a
    CPU shared memory), "broadcast" (NCCL; on a CPU gloo), or "auto", by the devices. folder: folder for files that are
    handed over; None for main memory. sleep: vLLM's sleep level between rollouts, 1 or 2; None for no sleep.
    """

    adapters: Adapters = "merged"
    transport: Transport = "auto"
    folder: str | None = None
    sleep: int | None = None


class VLLMEngine:
    """Rollout engine that samples from a copy of the weights in a vLLM process of this rank.

    On a GPU the responses to a prompt depend on its AnswerKey and on rounding, on a CPU on the key alone. media,
    precision, device: as in `vllm_engine`. settings: keywords of `engine_arguments`. UserError where vLLM is missing,
    does not serve the family, or cannot be given weights in the way asked for.
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
        self.lock: int | None = None
        self.process: OwnProcess | None = None
        self.transport: Files | Streams | None = None
        self.open = False

    def beside(self, **known: bool) -> BesideTrainer:
        """Return what is asked of this engine, for `check_beside`. known: `cpu` and `own_gpu`, once these are known."""
        way = self.handover
        rank = rank_of(self.policy)
        return BesideTrainer(way.adapters, rank, way.transport, way.sleep, half=self.dtype.itemsize == 2, **known)

    def generate(self, prompts: Prepared, count: int, sampling: Sampling, seed: int) -> Rollout:
        """Return a rollout of N = B * count responses, `count` to each of the B prompts.

        UserError for noise or media that vLLM cannot serve; where vLLM refuses, ends twice, reads other ids than the
        prompts', or returns banned tokens or another number of responses.
        """
        assert self.process is not None, "the engine is asked before it was given weights"
        with self.session():
            found = answered(self.policy, self.process.ask, self.media, prompts, count, sampling, seed)
        return rollout_of(self.policy.processor, prompts, found, count, sampling, self.version)

    @contextmanager
    def session(self) -> Iterator[None]:
        """Keep the engine awake inside the block. Nested blocks, and engines without sleep, do nothing."""
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
        """Wake the engine: weights first, handed over again where its sleep level drops them, then the caches."""
        make_room(self.policy)
        if process.wake(WEIGHTS) and self.handover.sleep == DROPS:
            self.hand_over(process)
        process.wake(CACHE)

    def update_weights(self, policy: MLLM, version: int) -> None:
        """Hand the policy's weights, as version `version`, to every rank's engine; the first call starts the engine.

        An engine that sleeps is woken for its weights alone; the caches sleep until the next session. UserError, on all
        ranks, where an engine does not start or weights cannot be handed over.
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
        """Hand the policy's weights to the engine's process. All ranks call it at the same time.

        With handover.adapters="merged" these are whole weights, adapters added in. With "alone" they are the adapters,
        and before them the frozen weights if the process does not have these yet. UserError, on all ranks, where one of
        them has an error.
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
        """Start the engine's process, unless it runs already. The policy must be on its device by then.

        UserError where the process does not start, or the devices do not fit the settings.
        """
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
        self.lock = hold(self.folder)
        self.process = OwnProcess(arguments, engine, self.folder, self.lock)

    def further(self) -> dict[str, Any]:
        """Return the arguments of vLLM's engine that sleep and adapters need, by name."""
        found: dict[str, Any] = {} if self.handover.sleep is None else {"enable_sleep_mode": True}
        if self.handover.adapters == "alone":
            found |= arguments_for(rank_of(self.policy))
        return found

    def close(self) -> None:
        """End the engine's process and remove the folder of its weights."""
        if self.process is not None:
            self.process.close()
        if self.folder is not None:
            remove(self.folder, self.lock)
            self.lock = None


def check_beside(asked: BesideTrainer) -> None:
    """Raise UserError where a vLLM engine cannot be made or used as `asked`."""
    if (fault := asked.fault()) is not None:
        raise UserError(fault)


def make_room(policy: MLLM) -> None:
    """Release the GPU memory that PyTorch holds in reserve, so that the engine can use it; do nothing on a CPU."""
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
    """Return the engine that conf/rollout/vllm.yaml configures.

    media: whether images and videos are sent as the trainer's visual embeddings or as pixels. precision: key of
    PRECISIONS, or "auto" for the policy's dtype. max_length: most tokens of a prompt with its response; None for a
    default (`engine_arguments`). cache_gb: GiB for cached keys and values. device: index of another GPU than the
    trainer's; None for the trainer's. folder, adapters, transport: as in `Handover`. options: further arguments of
    vLLM's engine. sleep: whether the engine frees its memory between rollouts; at sleep_level 1 its weights go to main
    memory, at 2 they are dropped and handed over again.
    """
    handover = Handover(adapters, transport, folder, sleep_level if sleep else None)
    settings = {"max_length": max_length, "cache_gb": cache_gb, "options": options}
    return VLLMEngine(policy, media=media, precision=precision, device=device, handover=handover, settings=settings)
