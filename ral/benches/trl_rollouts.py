"""TRL's own way to use vLLM, in this process, as an engine of scripts/bench_rollout.py.

It is what TRL's GRPOTrainer does with `use_vllm=True, vllm_mode="colocate"`: `VLLMGeneration` gets the prompts as token
ids and the images as pixels, each prompt once for each response, and vLLM runs its own vision tower.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

from PIL import Image

from ral.errors import UserError
from ral.models.mllm import MLLM
from ral.rollout.vllm.pixels import frames_of
from ral.types import PromptBatch

SHARE = 0.3
"""Share of a GPU's memory that TRL leaves to vLLM (vllm_gpu_memory_utilization of its GRPOConfig)."""


def trl_step(policy: MLLM, spec: dict[str, Any]) -> Callable[[PromptBatch, int], int]:
    """Start vLLM in this process as TRL does; return the step that samples with it.

    vLLM reads the weights from the model's folder. Two things differ from TRL 1.16, so that all engines do the same
    work. TRL leaves the dtype to vLLM, which takes bfloat16 for float32 weights; here it is spec["dtype"]. TRL hands
    vLLM prompts with all placeholders of an image, of which vLLM expands the first one once more (TRL's issue 6294);
    here each image has one placeholder. The step ignores its seed, as TRL does, and raises UserError where vLLM reads
    other ids than the prompt's.
    """
    os.environ |= {
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_CPU_KVCACHE_SPACE": str(max(1, round(spec["cache_gb"]))),
    }
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    from accelerate import Accelerator
    from trl.generation import vllm_generation

    vllm_generation.LLM = partial(vllm_generation.LLM, dtype=spec["dtype"])
    length, group = spec["response_tokens"], spec["group_size"]
    sampler = vllm_generation.VLLMGeneration(
        model=policy.network,
        accelerator=Accelerator(cpu=spec["device"] == "cpu"),
        processing_class=None,
        mode="colocate",
        gpu_memory_utilization=SHARE,
        max_num_seqs=spec["prompts"] * group,
        temperature=spec["temperature"],
        max_completion_length=length,
        generation_kwargs={"min_tokens": length, "ignore_eos": True},
    )
    settings, placeholder = policy.processor.patches, policy.network.config.image_token_id

    def step(prompts: PromptBatch, seed: int) -> int:
        images = [Image.fromarray(frames[0].numpy()) for frames in frames_of(prompts.media, "image", settings)]
        ids = [row[valid].tolist() for row, valid in zip(prompts.token_ids, prompts.valid, strict=True)]
        asked = [short for row in ids for short in [unexpanded(row, placeholder)] * group]
        read, sampled, *_ = sampler.generate(asked, [[image] for image in images for _ in range(group)], group)
        if read != [row for row in ids for _ in range(group)]:
            raise UserError("trl_vllm: vLLM reads other ids than the prompt's")
        return sum(map(len, sampled))

    return step


def unexpanded(ids: list[int], placeholder: int) -> list[int]:
    """Return a prompt's ids with each run of placeholders reduced to one placeholder."""
    return ids[:1] + [now for before, now in pairwise(ids) if (before, now) != (placeholder, placeholder)]
