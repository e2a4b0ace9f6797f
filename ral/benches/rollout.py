"""Rollout engines beside each other: tokens a second of wall time and of processor time, in turns.

Of the native engine there are variants with one of its savings off.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ral.benches.measure import Worker, compare, in_turn, range_text, spread
from ral.benches.step import SIZES as SHAPES
from ral.benches.work import SIZES, VOCABULARY, drawn, write_bench_model
from ral.errors import UserError
from ral.files.markdown import table

ENGINES = ("native", "vllm", "hf")
VARIANTS = ("native_casts",)
"""Of `native`, by name alone (ral.benches.rollout_worker): weights cast at every token."""
MODELS = {"30m": SIZES, "3b": SHAPES["3b"], "7b": SHAPES["7b"]}
WARMUP = 1


def engines_of(text: str | None) -> list[str]:
    """Return the engines of a comma list; None: all that can run here. UserError for others."""
    there = importlib.util.find_spec("vllm") is not None
    if text is None:
        return [name for name in ENGINES if name != "vllm" or there]
    chosen = text.split(",")
    if not set(chosen) <= {*ENGINES, *VARIANTS}:
        raise UserError(f"--engines {text}: write some of {','.join((*ENGINES, *VARIANTS))}")
    if "vllm" in chosen and not there:
        raise UserError(
            "--engines: vllm is not installed here: make vllm, then .venv-vllm/bin/python in place of python"
        )
    return chosen


def specification(given: argparse.Namespace, engine: str, prompt_tokens: int) -> dict[str, Any]:
    """Return what a worker is to do."""
    folder = given.output / f"rollout_{given.model}"
    model = write_bench_model(folder, MODELS[given.model], VOCABULARY, *drawn(given.device != "cpu"))
    kept = ("prompts", "group_size", "response_tokens", "threads", "dtype", "device", "cache_gb", "trained")
    own = {"engine": engine, "model": str(model.absolute()), "prompt_tokens": prompt_tokens, "temperature": 0.9}
    return own | {name: getattr(given, name) for name in kept}


def measured(
    given: argparse.Namespace, engines: Sequence[str], size: int, progress: Callable[[], object]
) -> dict[str, Any]:
    """Return the figures of every engine at one size of prompts."""
    workers: dict[str, Worker] = {}
    try:
        for name in engines:
            spec, log = specification(given, name, size), given.output / f"rollout_{name}.log"
            workers[name] = Worker(Path(sys.executable), "ral.benches.rollout_worker", spec, log, given.threads)
        replies = in_turn(workers, WARMUP, given.repeats, progress)
    finally:
        for worker in workers.values():
            worker.close()
    first = next(iter(replies.values()))
    return {name: figures(found) | {"ratio": compare(found, first)["ratio"]} for name, found in replies.items()}


def figures(replies: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return tokens a second of wall time and of processor time, an engine's own process included."""
    tokens = [r["facts"]["tokens"] for r in replies]
    spent = [r["cpu_seconds"] + r["facts"]["engine_cpu_seconds"] for r in replies]
    return {
        "tokens": tokens[0],
        "tokens_per_second": spread([t / r["seconds"] for t, r in zip(tokens, replies, strict=True)], 1),
        "tokens_per_processor_second": spread([t / s for t, s in zip(tokens, spent, strict=True)], 1),
    }


def summary(found: dict[str, Any]) -> str:
    """Return the figures as a table. found: {size: {engine: figures}}."""
    rows = [
        (
            *(size, name, range_text(f["ratio"])),
            *(range_text(f[key], 0) for key in ("tokens_per_second", "tokens_per_processor_second")),
        )
        for size, engines in found.items()
        for name, f in engines.items()
    ]
    first = next(iter(next(iter(found.values()))))
    columns = ("visual tokens", "engine", f"speed, times `{first}`", "tokens a second", "tokens a processor second")
    return "Median (min to max); ratios step by step.\n\n" + table(columns, rows, left=0)
