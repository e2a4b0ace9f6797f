"""Rollout engines compared by tokens a second, of wall time and of processor time; the engines take turns.

Variants of the native engine differ from it in one setting. In this module `given` is the parsed command line of
scripts/bench_rollout.py.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ral.benches.measure import Reply, Worker, compare, in_turn, range_text, spread
from ral.benches.step import SIZES as SHAPES
from ral.benches.vs_trl import TRL as RELEASE
from ral.benches.work import SIZES, VOCABULARY, drawn, write_bench_model
from ral.errors import UserError
from ral.files.markdown import table

ENGINES = ("native", "vllm", "hf")
TRL = "trl_vllm"
"""Name of vLLM as TRL uses it (ral.benches.trl_rollouts)."""
VARIANTS = ("native_casts", "native_steps", "native_fixed")
"""Variants of `native`: weights are cast at every token; steps have no fixed shapes; steps have fixed shapes."""
MODELS = {"30m": SIZES, "3b": SHAPES["3b"], "7b": SHAPES["7b"]}
WARMUP = 1


def engines_of(text: str | None) -> list[str]:
    """Return the engines in a comma-separated text; None: all of ENGINES that can run here.

    UserError for an unknown name, and for an engine whose package is not installed.
    """
    there = importlib.util.find_spec("vllm") is not None
    if text is None:
        return [name for name in ENGINES if name != "vllm" or there]
    chosen = text.split(",")
    if not set(chosen) <= {*ENGINES, TRL, *VARIANTS}:
        raise UserError(f"--engines {text}: write some of {','.join((*ENGINES, TRL, *VARIANTS))}")
    if {"vllm", TRL} & set(chosen) and not there:
        raise UserError(
            "--engines: vllm is not installed here: make vllm, then .venv-vllm/bin/python in place of python"
        )
    if TRL in chosen and importlib.util.find_spec("trl") is None:
        raise UserError(
            f"--engines: trl is not installed here: write {sys.executable} -m pip install --no-deps {RELEASE}"
        )
    return chosen


def specification(given: argparse.Namespace, engine: str, prompt_tokens: int) -> dict[str, Any]:
    """Return the specification that an engine's worker gets. prompt_tokens: visual tokens of a prompt."""
    folder = given.output / f"rollout_{given.model}"
    model = write_bench_model(folder, MODELS[given.model], VOCABULARY, *drawn(given.device != "cpu"))
    kept = ("prompts", "group_size", "response_tokens", "threads", "dtype", "device", "cache_gb", "trained")
    own = {"engine": engine, "model": str(model.absolute()), "prompt_tokens": prompt_tokens, "temperature": 0.9}
    return own | {name: getattr(given, name) for name in kept}


def measured(
    given: argparse.Namespace, engines: Sequence[str], size: int, progress: Callable[[], object]
) -> dict[str, Any]:
    """Return {engine: its figures, and its speed relative to the first engine}.

    size: visual tokens of a prompt. progress: called after each step. UserError where a worker ends early.
    """
    replies: dict[str, list[Reply]] = {}
    for names in [[name] for name in engines] if given.apart else [engines]:
        replies |= answered(given, names, size, progress)
    first = next(iter(replies.values()))
    return {name: figures(found) | against(found, first) for name, found in replies.items()}


def answered(
    given: argparse.Namespace, engines: Sequence[str], size: int, progress: Callable[[], object]
) -> dict[str, list[Reply]]:
    """Return {engine: replies of its worker}. The workers exist at the same time and take turns."""
    workers: dict[str, Worker] = {}
    try:
        for name in engines:
            spec, log = specification(given, name, size), given.output / f"rollout_{name}.log"
            workers[name] = Worker(Path(sys.executable), "ral.benches.rollout_worker", spec, log, given.threads)
        return in_turn(workers, WARMUP, given.repeats, progress)
    finally:
        for worker in workers.values():
            worker.close()


def against(found: Sequence[Reply], first: Sequence[Reply]) -> dict[str, Any]:
    """Return an engine's speed over that of the first one, step by step: ratio (wall time), cpu_ratio (processor time).

    found, first: replies of the two workers. Processor time includes that of an engine's own process.
    """
    ratios = compare(*([r | {"cpu_seconds": spent(r)} for r in replies] for replies in (found, first)))
    return {name: ratios[name] for name in ("ratio", "cpu_ratio")}


def spent(reply: Reply) -> float:
    """Return the processor time of a step in seconds, including that of an engine's own process."""
    return float(reply["cpu_seconds"] + reply["facts"]["engine_cpu_seconds"])


def figures(replies: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return an engine's tokens a second of wall and of processor time, its bandwidth_share and its peak memory in GB.

    replies: those of the engine's worker, one a step. bandwidth_share: time to read the weights once a token at the
    memory's measured bandwidth, over the wall time of a step, prefill and vision tower included. 1 is the limit of any
    engine that reads all weights at each token.
    """
    shares = [r["facts"]["bytes_read"] / r["facts"]["bytes_per_second"] / r["seconds"] for r in replies]
    tokens = [r["facts"]["tokens"] for r in replies]
    return {
        "tokens": tokens[0],
        "tokens_per_second": spread([t / r["seconds"] for t, r in zip(tokens, replies, strict=True)], 1),
        "tokens_per_processor_second": spread([t / spent(r) for t, r in zip(tokens, replies, strict=True)], 1),
        "bandwidth_share": spread(shares),
        "peak_gb": max(r["peak_gb"] for r in replies),
    }


def summary(found: dict[str, Any]) -> str:
    """Return the figures as a Markdown table. found: {size: {engine: figures}}."""
    rows = [
        (
            *(size, name, range_text(f["ratio"]), range_text(f["cpu_ratio"])),
            *(range_text(f[key], 0) for key in ("tokens_per_second", "tokens_per_processor_second")),
            *(range_text(f["bandwidth_share"]), f"{f['peak_gb']:.1f}"),
        )
        for size, engines in found.items()
        for name, f in engines.items()
    ]
    first = next(iter(next(iter(found.values()))))
    speeds = (f"speed, times `{first}`", "by processor time", "tokens a second", "tokens a processor second")
    columns = ("visual tokens", "engine", *speeds, "share of bandwidth", "peak GB")
    return "Median (min to max); ratios step by step.\n\n" + table(columns, rows, left=0)
