"""A worker that samples with one engine: in every step, responses of full length to prompts with new images.

    python -m ral.benches.rollout_worker '{"engine": "native", "model": ..., ...}'

A step includes the vision tower, and end tokens are banned, on every side. In this module `spec` is the argument above,
parsed from JSON.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ral.benches.trl_rollouts import trl_step
from ral.benches.work import QUESTION, TOKEN_SIDE
from ral.benches.worker import Line
from ral.models.attention.interface import NAME
from ral.models.mllm import MLLM
from ral.rollout.engine import Sampling
from ral.rollout.native import NativeEngine, read_by_decoding
from ral.rollout.vllm.arguments import banned_tokens, head_rows
from ral.rollout.vllm.engine import vllm_engine
from ral.types import Example, Media, Pixels, PromptBatch

Step = Callable[[PromptBatch, int], int]
"""Samples responses to prompts with a seed; returns the number of sampled tokens."""
COPIED, COPIES = 2**28, 8
"""Bytes of one copy, and number of copies, with which the memory's bandwidth is measured."""
TICKS = os.sysconf("SC_CLK_TCK")


def prompts_of(policy: MLLM, spec: dict[str, Any], step: int) -> PromptBatch:
    """Return spec["prompts"] prompts, each with a new random image of spec["prompt_tokens"] visual tokens.

    step: the seed.
    """
    rows = next(n for n in range(math.isqrt(spec["prompt_tokens"]), 0, -1) if spec["prompt_tokens"] % n == 0)
    sides = (rows * TOKEN_SIDE, spec["prompt_tokens"] // rows * TOKEN_SIDE)
    generator = torch.Generator().manual_seed(step)
    media, examples = [], []
    for number in range(spec["prompts"]):
        frames = torch.randint(0, 256, (1, *sides, 3), generator=generator, dtype=torch.uint8)
        media.append([Pixels("image", frames, 0.0)])
        examples.append(Example(f"{step}-{number}", QUESTION, "?", "free-form", (Media("image", Path("made")),)))
    return policy.processor.batch(examples, [QUESTION] * len(examples), media)


def by_engine(policy: MLLM, engine: Any, spec: dict[str, Any]) -> Step:
    """Return the step that samples with an engine of this project."""
    sampling = Sampling(spec["temperature"], spec["response_tokens"])
    engine.update_weights(policy, 0)

    def step(prompts: PromptBatch, seed: int) -> int:
        with torch.no_grad():
            prepared = policy.prepare(prompts)
        return int(engine.generate(prepared, spec["group_size"], sampling, seed).valid.sum())

    return step


def by_hf(policy: MLLM, spec: dict[str, Any]) -> Step:
    """Return the step that samples with Transformers' `generate` and Transformers' attention."""
    network: Any = policy.network
    network.set_attn_implementation({"text_config": "sdpa", "vision_config": "sdpa"})
    banned = banned_tokens(policy.processor, head_rows(network.config))
    assert network.config.get_text_config()._attn_implementation != NAME
    length = spec["response_tokens"]

    def step(prompts: PromptBatch, seed: int) -> int:
        torch.manual_seed(seed)
        here = prompts.to(policy.device)
        with torch.no_grad(), policy.arithmetic():
            out = network.generate(
                input_ids=here.token_ids,
                attention_mask=here.valid.long(),
                mm_token_type_ids=here.visual.int(),
                **{name: here.media[name] for name in ("pixel_values", "image_grid_thw")},
                **{"max_new_tokens": length, "min_new_tokens": length, "do_sample": True, "top_k": 0, "top_p": 1.0},
                temperature=spec["temperature"],
                num_return_sequences=spec["group_size"],
                suppress_tokens=banned,
            )
        return int(out[:, here.token_ids.shape[1] :].numel())

    return step


def bytes_read(policy: MLLM, steps: int) -> int:
    """Return the bytes of weights that `steps` decoding steps read, each weight once a step, in the policy's dtype."""
    layers = [m for part in read_by_decoding(policy) for m in part.modules() if isinstance(m, torch.nn.Linear)]
    return steps * policy.dtype.itemsize * sum(m.weight.numel() for m in layers)


def bytes_per_second(device: torch.device) -> float:
    """Return the bandwidth of the device's memory from the fastest of COPIES copies; each byte is read and written."""
    source = torch.zeros(COPIED, dtype=torch.uint8, device=device)
    target, best = torch.empty_like(source), 0.0
    for _ in range(COPIES):
        started = time.perf_counter()
        target.copy_(source)
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = max(best, 2 * COPIED / (time.perf_counter() - started))
    return best


def processor_seconds(engine: Any) -> float:
    """Return the processor time in seconds that an engine's own process has taken so far; 0 where it has no process."""
    process = getattr(engine, "process", None)
    if process is None:
        return 0.0
    fields = Path(f"/proc/{process.process.popen.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def main(spec: dict[str, Any]) -> None:
    """Load the engine, then make one step for each request of the parent process; SystemExit when its input ends."""
    torch.set_num_threads(spec["threads"])
    line = Line()
    policy = MLLM.load(spec["model"], dtype=spec["dtype"], trained=spec["trained"]).to(spec["device"])
    policy.processor.banned[list(policy.processor.end_ids)] = True
    weights = {"bytes_read": bytes_read(policy, spec["response_tokens"])}
    weights["bytes_per_second"] = int(bytes_per_second(policy.device))
    makes: dict[str, Callable[[MLLM], Any]] = {
        "native": NativeEngine,
        "native_casts": partial(NativeEngine, cast_once=False),
        "native_steps": partial(NativeEngine, fixed_shapes=False),
        "native_fixed": partial(NativeEngine, fixed_shapes=True),
        "vllm": lambda policy: vllm_engine(policy, cache_gb=spec["cache_gb"]),
    }
    engine = makes[spec["engine"]](policy) if spec["engine"] in makes else None
    others = {"hf": by_hf, "trl_vllm": trl_step}
    step = others[spec["engine"]](policy, spec) if engine is None else by_engine(policy, engine, spec)
    number, before = 0, 0.0
    prompts = prompts_of(policy, spec, 0)
    line.next_step()
    while True:
        tokens = step(prompts, number)
        now = processor_seconds(engine)
        number, spent, before, prompts = number + 1, now - before, now, prompts_of(policy, spec, number + 1)
        line.next_step(tokens=tokens, engine_cpu_seconds=spent, **weights)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
