"""Arguments of a vLLM engine, equal for an engine in a process of this run and for one in a server."""

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
    """Return the number of rows of the output head, which may exceed the number of tokens.

    config: Transformers' configuration of the model.
    """
    return int(config.get_text_config().vocab_size)


def banned_tokens(processor: Processor, rows: int) -> list[int]:
    """Return the ids that no response may contain: the processor's banned tokens, and rows of the head without a token.

    rows: number of rows of the head.
    """
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
    """Return the arguments of a vLLM engine by name.

    rows: number of rows of the output head. dtype: dtype of the arithmetic, by its name in torch. max_length: most
    tokens of a prompt with its response; None for the smaller of the model's own bound and LONGEST. cache_gb: GiB for
    cached keys and values. cpu: whether the engine runs on a CPU, where chunked prefill is off, since seeded requests
    must not be prefilled in pieces. options: further arguments, which replace those made here.
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
