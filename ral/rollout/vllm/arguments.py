"""Arguments of vLLM's engine, alike for one in a process of this run and for a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ral.models.processor import Processor

LONGEST = 8192
"""Tokens of a prompt and its response together, where nothing says how many."""
BLOCK = 32
"""Tokens whose keys and values are cached together on a CPU; vLLM's own number there keeps prompts of less out."""
GB = 2**30


def head_rows(config: Any) -> int:
    """Return the number of rows of the head, which may be more than there are tokens."""
    return int(config.get_text_config().vocab_size)


def banned_tokens(processor: Processor, rows: int) -> list[int]:
    """Return the ids that no response may hold, rows of the head without a token among them."""
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
    """Return the arguments by name. rows: of the head.

    options: of vLLM's own, in place of these. On a CPU a seeded request must not be prefilled in pieces.
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
