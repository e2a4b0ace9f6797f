"""Check of vLLM beside the trainer: after every handover of weights, responses must have the trainer's log-probs.

Cases combine the ways to hand weights over, sleep, and adapters merged or alone. In this module `given` is the parsed
command line of scripts/check_vllm.py, and a push is one handover of weights.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ral.benches.rollout import MODELS
from ral.benches.rollout_worker import prompts_of
from ral.benches.work import VOCABULARY, drawn, write_bench_model
from ral.checks.gpu import gpu_memory_mb
from ral.errors import UserError
from ral.files.repository import SHIPPED, find
from ral.machine import BesideTrainer
from ral.models.adapters.lora import Adapters, add_adapters
from ral.models.mllm import MLLM
from ral.ops.logprobs import token_log_probs
from ral.rollout.engine import Sampling
from ral.rollout.vllm.engine import VLLMEngine, vllm_engine
from ral.types import Prepared, Rollout

TRANSPORTS, LEVELS, ADAPTERS = ("file", "ipc", "broadcast"), (0, 1, 2), ("merged", "alone")
"""Values of the settings transport, sleep_level (0: no sleep) and adapters of rollout=vllm."""
TINY = "tiny"
"""Name of the shipped model among the models."""
BOUNDS = {"float32": 1e-4, "bfloat16": 5e-2}
"""{dtype: mean gap in nats between sampler and trainer above which a run would stop} (conf/rollout/vllm.yaml, gaps)."""
RANK, ALPHA, TARGETS = 8, 16, ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
MOVED = 0.02
"""Standard deviation of the noise that is added to the weights between two pushes."""
FREED = 0.9
"""Smallest share of the cache's memory that the engine must free on the GPU while it sleeps."""
MB_OF_GB = 1024


@dataclass(frozen=True)
class Case:
    """One combination of settings. sleep: level, 0 for none. second: whether the engine has a GPU of its own."""

    transport: str
    sleep: int
    adapters: str
    second: bool = False

    def name(self) -> str:
        """Return the combination in words."""
        return f"{self.transport}, {'sleep ' + str(self.sleep) if self.sleep else 'awake'}, {self.adapters}"


def chosen(text: str, known: Sequence[Any], flag: str) -> list[Any]:
    """Return the values of `known` that a comma-separated text names. UserError for an unknown one.

    flag: the option of the command line that has the text, for the message.
    """
    by_word = {str(value): value for value in known}
    if unknown := [word for word in text.split(",") if word not in by_word]:
        raise UserError(f"{flag} {text}: {unknown[0]} is none: write some of {','.join(by_word)}")
    return [by_word[word] for word in text.split(",")]


def cases(
    transports: Sequence[str], levels: Sequence[int], adapters: Sequence[str], gpus: int, half: bool
) -> Iterator[Case]:
    """Yield the combinations that this machine and vLLM support.

    levels: sleep levels. gpus: number of GPUs. half: whether the arithmetic is in 16 bits.
    """
    for transport, sleep, way in itertools.product(transports, levels, adapters):
        second = transport == "broadcast" and gpus > 1
        asked = BesideTrainer(way, RANK, transport, sleep or None, cpu=gpus == 0, own_gpu=second, half=half)
        if asked.fault() is None:
            yield Case(transport, sleep, way, second)


def loaded(given: argparse.Namespace) -> MLLM:
    """Return the policy that `given` names, with adapters that change its outputs.

    A model other than the shipped one is first written, with random weights, to a folder in given.output.
    """
    if given.model == TINY:
        folder = find(SHIPPED)
    else:
        made = given.output / f"check_vllm_{given.model}"
        folder = str(write_bench_model(made, MODELS[given.model], VOCABULARY, *drawn(given.device != "cpu")).absolute())
    policy = MLLM.load(folder, dtype=given.dtype).to(given.device)
    add_adapters(policy, Adapters(RANK, ALPHA, TARGETS))
    move(policy, 0)
    return policy


@torch.no_grad()
def move(policy: MLLM, seed: int) -> None:
    """Add noise to the adapters in place, to stand for an update. The same seed gives the same noise."""
    generator = torch.Generator().manual_seed(seed)
    for _, parameter in policy.trained_parameters():
        parameter.add_((MOVED * torch.randn(parameter.shape, generator=generator)).to(parameter))


@torch.no_grad()
def gaps(policy: MLLM, prepared: Prepared, rollout: Rollout, temperature: float) -> Tensor:
    """Return the absolute difference of log-probs between policy and sampler in nats, one for each sampled token."""
    ids, mask = rollout.token_ids, rollout.valid
    assert rollout.log_probs is not None
    with policy.arithmetic():
        hidden = policy.states(prepared, ids, mask, None).hidden
        own = token_log_probs(
            hidden, ids, mask, policy.head, temperature=temperature, banned=policy.processor.banned.to(ids.device)
        )[0]
    return (own - rollout.log_probs).abs()[mask]


def measured(given: argparse.Namespace, case: Case) -> dict[str, Any]:
    """Return the figures of one case: "pushes", "memory_mb" of the GPU, and "wrong".

    "wrong" says what is wrong in the figures, or holds the message of a UserError; None where the case is all right.
    """
    found: dict[str, Any] = {"pushes": [], "memory_mb": {"before": gpu_memory_mb()}}
    try:
        run(given, case, found)
    except UserError as error:
        return found | {"wrong": str(error)}
    finally:
        gc.collect()
        torch.cuda.empty_cache()
    return found | {"wrong": wrong(found, BOUNDS[given.dtype], case, given.cache_gb)}


def run(given: argparse.Namespace, case: Case, found: dict[str, Any]) -> None:
    """Start an engine and make given.pushes pushes, each followed by sampling.

    The figures are added to `found`, in place.
    """
    policy = loaded(given)
    engine = opened(policy, given, case)
    try:
        for push in range(given.pushes):
            found["pushes"].append(pushed(policy, engine, given, push, found["memory_mb"]))
    finally:
        engine.close()


def opened(policy: MLLM, given: argparse.Namespace, case: Case) -> VLLMEngine:
    """Start the engine of a case."""
    return vllm_engine(
        policy,
        cache_gb=given.cache_gb,
        device=1 if case.second else None,
        folder=given.folder,
        adapters=case.adapters,  # type: ignore[arg-type]
        transport=case.transport,  # type: ignore[arg-type]
        sleep=case.sleep > 0,
        sleep_level=case.sleep or 1,  # type: ignore[arg-type]
    )


def pushed(
    policy: MLLM, engine: VLLMEngine, given: argparse.Namespace, push: int, memory: dict[str, Any]
) -> dict[str, Any]:
    """Hand the weights over, sample once, then change the weights by noise; return the figures of this push.

    push: number of this push, from 0. memory: filled in place with {"with weights", "awake", "asleep": the GPU's memory
    then, in MB}. In the figures, gap is the mean gap in nats to the policy that was handed over, and far the mean gap
    to the changed policy, as an engine with stale weights would have it.
    """
    spec = {"prompts": given.prompts, "prompt_tokens": given.prompt_tokens}
    prepared = policy.prepare(prompts_of(policy, spec, push))
    sampling = Sampling(0.9, given.response_tokens)
    seconds, _ = timed(lambda: engine.update_weights(policy, push))
    memory["with weights"] = gpu_memory_mb()
    with engine.session():
        sampled, rollout = timed(lambda: engine.generate(prepared, given.group_size, sampling, push))
        memory["awake"] = gpu_memory_mb()
    memory["asleep"] = gpu_memory_mb()
    near, tokens = gaps(policy, prepared, rollout, sampling.temperature), int(rollout.valid.sum())
    move(policy, push + 1)
    far = gaps(policy, prepared, rollout, sampling.temperature)
    figures = {"gap": near.mean(), "largest_gap": near.max(), "far": far.mean()}
    rounded = {name: float(f"{float(value):.3g}") for name, value in figures.items()}
    speed = {"push_s": round(seconds, 3), "tokens": tokens, "tokens_per_second": round(tokens / sampled, 1)}
    return rounded | speed


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that a call takes, and its result."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    began = time.perf_counter()
    found = call()
    return time.perf_counter() - began, found


def wrong(found: dict[str, Any], bound: float, case: Case, cache_gb: float) -> str | None:
    """Return one line on what is wrong in the figures of a case, or None.

    found: the figures under "pushes" and "memory_mb". bound: largest mean gap that passes, in nats. cache_gb: GiB of
    the engine's cache, which sleep frees.
    """
    for number, push in enumerate(found["pushes"]):
        if not push["gap"] <= bound:
            return f"push {number}: sampler and trainer are {push['gap']} nats apart, and {bound} is the bound"
        if not push["far"] > 2 * push["gap"]:
            return f"push {number}: a stale engine would not be seen ({push['far']} nats away)"
    memory = found["memory_mb"]
    if case.sleep and memory["awake"] is not None:
        freed, wanted = memory["awake"] - memory["asleep"], FREED * cache_gb * MB_OF_GB
        if freed < wanted:
            return f"asleep the engine freed {freed:.0f} MB of the GPU, and its cache alone has {cache_gb:g} GB"
    return None
