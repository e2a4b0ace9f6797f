"""The cost of the attention term: one update of RAL against one of GRPO, and against "naive" RAL with eager attention.

In this module `given` is the parsed command line of scripts/bench_attention.py; `progress` is called after each update.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from rich.progress import Progress

from ral.benches.measure import Worker, compare, in_turn, out_of_memory, range_text, spread
from ral.benches.work import drawn
from ral.errors import UserError
from ral.files.markdown import table
from ral.models.recipe import Sizes

SIZES = {
    "100m": Sizes(hidden=768, layers=12, heads=12, kv_heads=2, mlp=2816, vision_hidden=64, vision_depth=1),
    "3b": Sizes(hidden=2048, layers=36, heads=16, kv_heads=2, mlp=11008, vision_hidden=64, vision_depth=1),
    "7b": Sizes(hidden=3584, layers=28, heads=28, kv_heads=4, mlp=18944, vision_hidden=64, vision_depth=1),
}
"""Decoders of about 100 million parameters and of the shapes of Qwen2.5-VL-3B and 7B; the vision tower is not timed."""
VOCABULARY = 6144
"""Tokens of the vocabulary; Qwen's 151,936 would make head and log-probs dearer for all sides alike."""
ROW = 32
"""Visual tokens in a row of the image."""
WARMUP = 1
NAIVE_SHARE = 0.7
"""Largest share of the memory that the attention weights of the naive side may take."""


def naive_gb(sizes: Sizes, positions: int, width: int) -> float:
    """Return the GB of one response's attention weights in all layers, before and after the softmax.

    positions: tokens of prompt and response. width: bytes of a number.
    """
    return 2 * sizes.layers * sizes.heads * positions**2 * width / 1e9


def specification(given: argparse.Namespace, model: Path, size: int) -> dict[str, Any]:
    """Return the specification that the worker of every side gets. model: folder of the model.

    size: visual tokens a prompt.
    """
    return {
        "model": str(model.absolute()),
        "prompt_tokens": size,
        "response_tokens": given.response_tokens,
        "group_size": given.group_size,
        "threads": given.threads,
        "device": given.device,
        "dtype": drawn(given.device == "cuda")[1],
        "checkpointing": given.checkpointing,
        "gives_way": not given.apart,
    }


def pair(given: argparse.Namespace, spec: dict[str, Any], other: str, repeats: int, progress: Any) -> dict[str, Any]:
    """Return the measurements of GRPO and of the side `other`, and the ratios of other to GRPO.

    The ratios are time, cpu_time and memory. spec: from `specification`. repeats: number of counted updates.
    """
    sides = [["grpo"], [other]] if given.apart else [["grpo", other]]
    replies: dict[str, Any] = {}
    for names in sides:
        replies |= run_sides(given, spec, names, repeats, progress)
    found = compare(replies["grpo"], replies[other])
    memory = [t["peak_gb"] / o["peak_gb"] for o, t in zip(replies["grpo"], replies[other], strict=True)]
    return {
        "time": found["ratio"],
        "cpu_time": found["cpu_ratio"],
        "memory": spread(memory),
        "grpo": found["ours"],
        other: found["theirs"],
    }


def run_sides(
    given: argparse.Namespace, spec: dict[str, Any], names: list[str], repeats: int, progress: Any
) -> dict[str, Any]:
    """Return {side: replies of its worker}; the workers take turns. spec: from `specification`. names: the sides.

    UserError where a worker ends early.
    """
    workers: dict[str, Worker] = {}
    try:
        for name in names:
            log = given.output / f"attention_{name}.log"
            own = spec | {"variant": name}
            workers[name] = Worker(Path(sys.executable), "ral.benches.attention_worker", own, log, given.threads)
        return in_turn(workers, WARMUP, repeats, progress)
    finally:
        for worker in workers.values():
            worker.close()


def naive_repeats(given: argparse.Namespace) -> int:
    """Return the number of counted updates of the naive side.

    It is 0 with checkpointing, since that side keeps all weights.
    """
    if given.checkpointing:
        return 0
    return int(given.repeats if given.naive_repeats is None else given.naive_repeats)


def measure(given: argparse.Namespace, model: Path, size: int, progress: Progress, task: Any) -> dict[str, Any]:
    """Return the measurements of RAL and of naive RAL, each beside GRPO, at one size: {"ral": ..., "naive": ...}.

    "naive" is None, with the reason in "why", where that side is not run or does not fit the memory. model: folder of
    the model. size: visual tokens of the prompt. task: the task of the progress bar. UserError where a worker ends
    early for another reason.
    """
    spec = specification(given, model, size)
    progress.update(task, description=f"{size} visual tokens")
    result: dict[str, Any] = {"ral": pair(given, spec, "ral", given.repeats, lambda: progress.advance(task))}
    repeats = naive_repeats(given)
    if repeats == 0:
        return result | {"naive": None, "why": "not run with --checkpointing" if given.checkpointing else "not run"}
    need = naive_gb(SIZES[given.model], size + given.response_tokens, 4 if given.device == "cpu" else 2)
    have = memory_gb(given.device)
    if need > NAIVE_SHARE * have:
        return result | {"naive": None, "why": f"one response's attention weights take {need:.0f} GB of {have:.0f}"}
    try:
        return result | {"naive": pair(given, spec, "naive", repeats, lambda: progress.advance(task))}
    except UserError as error:
        if not out_of_memory(error):
            raise
        return result | {"naive": None, "why": f"out of memory ({have:.0f} GB)"}


def memory_gb(device: str) -> float:
    """Return the memory of the first GPU (device "cuda"), else of the machine, in GB."""
    if device == "cuda":
        import torch

        return float(torch.cuda.get_device_properties(0).total_memory) / 1e9
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def ratios(found: dict[str, Any]) -> dict[str, Any]:
    """Return the ratios at one size by name, such as ral_over_grpo_time, each {min, median, max}.

    None stands where a side was not measured. found: result of `measure`. time: wall time; cpu_time: processor time;
    memory: peak.
    """
    return {
        f"{name}_over_grpo_{kind}": found[name][kind] if found[name] else None
        for name in ("ral", "naive")
        for kind in ("time", "cpu_time", "memory")
    }


def markdown(sizes: dict[int, dict[str, Any]]) -> str:
    """Return a Markdown table with a row for each size. sizes: {visual tokens: result of `measure`}."""
    columns = ["visual tokens", "GRPO, s", "RAL / GRPO: time", "CPU time", "memory"]
    columns += ["naive / GRPO: time", "CPU time ", "memory ", "GRPO, GB"]
    rows = []
    for size, found in sizes.items():
        kinds = ("time", "cpu_time", "memory")
        naive = [range_text(found["naive"][k]) for k in kinds] if found["naive"] else [found["why"], "-", "-"]
        grpo = found["ral"]["grpo"]
        ours = [range_text(found["ral"][k]) for k in kinds]
        rows.append((size, range_text(grpo["seconds"]), *ours, *naive, f"{grpo['peak_gb']:.2f}"))
    return "Median (min to max) of pairs.\n\n" + table(columns, rows, left=0)
