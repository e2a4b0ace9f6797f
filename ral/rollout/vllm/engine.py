"""The rollout engine `vllm`: each rank asks a vLLM engine in a process of its own, on the trainer's device."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from ral.models.mllm import MLLM
from ral.rollout.engine import Sampling
from ral.rollout.seeds import prompt_seeds
from ral.rollout.vllm.answers import rollout_of
from ral.rollout.vllm.arguments import engine_arguments, head_rows
from ral.rollout.vllm.process import OwnProcess, check_package
from ral.rollout.vllm.questions import Kind, ask, check_family, numbers
from ral.rollout.vllm.weights import first_of_node, make_folder, on_all_ranks, write_weights
from ral.types import Prepared, Rollout, UserError

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


class VLLMEngine:
    """Rollout engine that samples from a copy of the weights in a vLLM process of this rank.

    The responses to a prompt depend on its AnswerKey, and on a GPU on rounding. media: what is sent of images and
    videos, the trainer's visual embeddings or pixels. precision: key of PRECISIONS, or auto for the policy's.
    max_length: tokens of a prompt with its response; None for a default. cache_gb: GiB for keys and values. device:
    index of another GPU than the trainer's; None for the same. folder: in which weights are handed over; None for main
    memory. options: further arguments of vLLM's engine. UserError where vLLM is missing or does not serve the family.
    """

    max_lag: float = 0

    def __init__(
        self,
        policy: MLLM,
        *,
        media: Kind = "embeddings",
        precision: str = "auto",
        max_length: int | None = None,
        cache_gb: float = 1.0,
        device: int | None = None,
        folder: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        check_package()
        check_family(policy.processor)
        self.policy, self.media, self.dtype, self.version = policy, media, engine_dtype(policy, precision), 0
        self.own_device, self.root = device, folder
        self.folder: Path | None = None
        self.process: OwnProcess | None = None
        self.settings: dict[str, Any] = {"max_length": max_length, "cache_gb": cache_gb, "options": options}

    def generate(self, prompts: Prepared, count: int, sampling: Sampling, seed: int) -> Rollout:
        """Return a rollout of N = B * count responses. UserError where vLLM reads other ids, and for noise."""
        assert self.process is not None, "the engine is asked before it was given weights"
        found = answered(self.policy, self.process.ask, self.media, prompts, count, sampling, seed)
        return rollout_of(self.policy.processor, prompts, found, count, sampling, self.version)

    def session(self) -> AbstractContextManager[None]:
        """Return a context that does nothing: the engine has its weights."""
        return nullcontext()

    def update_weights(self, policy: MLLM, version: int) -> None:
        """Write the weights once on each machine and let every rank's engine load them; the first call starts it."""
        self.policy = policy
        self.folder = self.folder or make_folder(self.root)
        files, error = write_weights(policy, self.dtype, self.folder, writes=first_of_node()), None
        try:
            self.process = self.process or self.started(self.folder)
            self.process.push(files, version)
        except UserError as raised:
            error = str(raised)
        on_all_ranks(error)  # nobody writes again before all have read
        self.version = version

    def started(self, folder: Path) -> OwnProcess:
        """Start the engine's process; call it once the policy is on its device. folder: of the weights."""
        device = self.policy.device
        if device.type == "cuda" and self.own_device is not None:
            device = torch.device("cuda", self.own_device)
        rows = head_rows(self.policy.network.config)
        name = str(self.dtype).removeprefix("torch.")
        arguments = engine_arguments(self.policy.processor, rows, name, cpu=device.type == "cpu", **self.settings)
        return OwnProcess(arguments, device, folder)

    def close(self) -> None:
        """End the engine's process and remove the files of its weights."""
        if self.process is not None:
            self.process.close()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
