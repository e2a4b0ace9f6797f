"""Arguments of vLLM's engine, the same for one in a process of this run and for a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ral.models.processor import Processor

LONGEST = 8192
"""Most tokens of a prompt and its response together, by default."""
BLOCK = 32
"""Number of tokens in a block of vLLM's cache on a CPU; vLLM's own number leaves shorter prompts uncached."""
GB = 2**30


def head_rows(config: Any) -> int:
    """Return the number of rows of the head, which may exceed the number of tokens."""
    return int(config.get_text_config().vocab_size)


def banned_tokens(processor: Processor, rows: int) -> list[int]:
    """Return the ids that no response may contain, including rows of the head without a token."""
    return [*processor.banned.nonzero().flatten().tolist(), *range(processor.vocab_size, rows)]


def engine_arguments(
    processor: Processor,
    rows: int,
    dtype: str,
    *,
    max_length: int | None = None,
    cache_gb: float = 1.0,
    cpu: bool = False,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the arguments of vLLM's engine by name.

    rows: of the head; dtype: of the arithmetic, by its name in torch. max_length: tokens of prompt and response; None
    for the model's bound, at most LONGEST. cache_gb: GiB for keys and values. options: further arguments, which replace
    these. On a CPU chunked prefill is off, since seeded requests must not be prefilled in pieces.
    """
    length = max_length or min(LONGEST, processor.most_positions or LONGEST)
    here = {"enforce_eager": True, "block_size": BLOCK, "enable_chunked_prefill": False} if cpu else {}
    return {
        "model": processor.name,
        "dtype": dtype,
        "seed": 0,
        "max_model_len": length,
        "max_num_batched_tokens": max(LONGEST, length),
        "kv_cache_memory_bytes": int(cache_gb * GB),
        "enable_mm_embeds": True,
        "skip_mm_profiling": True,
        "logprobs_mode": "processed_logprobs",
        "logits_processors": ["ral.rollout.vllm.inside:Banned"],
        "worker_extension_cls": "ral.rollout.vllm.inside.Weights",
        "additional_config": {"banned": banned_tokens(processor, rows)},
        "generation_config": "vllm",
        "disable_log_stats": True,
        **here,
        **(options or {}),
    }
