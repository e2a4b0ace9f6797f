"""Whole training steps of this project with and without its savings, and how their cost grows with the sizes.

In this module `given` is the parsed command line of scripts/bench_step.py; `progress` is called after each step.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from pathlib import Path
from typing import Any

from ral.benches.measure import Worker, compare, in_turn, range_text
from ral.benches.work import FAMILY, LARGEST_PROMPT, VOCABULARY, drawn, token_side, write_bench_model, write_data
from ral.files.markdown import table
from ral.models.recipe import Sizes

SIZES = {
    "small": Sizes(hidden=256, layers=4, heads=4, kv_heads=2, mlp=704, vision_hidden=128, vision_depth=4),
    "qwen3_5": Sizes(hidden=256, layers=4, heads=4, kv_heads=2, mlp=704, vision_hidden=128, vision_depth=4),
    "3b": Sizes(2048, 36, 16, 2, 11008, vision_hidden=1280, vision_depth=32, vision_heads=16),
    "7b": Sizes(3584, 28, 28, 4, 18944, vision_hidden=1280, vision_depth=32, vision_heads=16),
}
"""Decoder and vision tower: one of 4 layers for the CPU, and the shapes of Qwen2.5-VL-3B and 7B; random weights.

qwen3_5: one of 4 layers too, three of linear attention and one of softmax attention.
"""
FAMILIES = {"qwen3_5": "qwen3_5"}
"""{model: its family}, where this is not Qwen2.5-VL."""
WARMUP = 1
GROWTH = {"prompt_tokens": (256, 512, 1024, 2048), "group_size": (2, 4, 8, 16), "response_tokens": (32, 64, 128, 256)}
LEAST_ADDED = 0.001
"""Smallest difference of two peaks, in GB, that counts; smaller ones are raised to this value."""
BASE = {"prompt_tokens": 1024, "group_size": 8, "response_tokens": 64}


def specification(given: argparse.Namespace, work: dict[str, int]) -> dict[str, Any]:
    """Return the specification that the worker of every variant gets. work: {axis of BASE: its value}."""
    steps = WARMUP + given.repeats
    family = FAMILIES.get(given.model, FAMILY)
    side, folder = token_side(family), given.output / f"step_{given.model}"
    data = write_data(
        given.output / f"data_{side}" / str(work["prompt_tokens"]), work["prompt_tokens"], steps + 3, side
    )
    model = write_bench_model(folder, SIZES[given.model], VOCABULARY, *drawn(given.hardware != "cpu"), family)
    return {
        "model": str(model.absolute()),
        "data": str(data.absolute()),
        "largest_picture": LARGEST_PROMPT * side**2,
        "prompts": 1,
        "group_size": work["group_size"],
        "response_tokens": work["response_tokens"],
        "updates": given.updates,
        "steps": steps,
        "threads": given.threads,
        "learning_rate": 1e-6,
        "temperature": 0.9,
        "beta": 0.04,
        "max_grad_norm": 1.0,
        "algo": "ral",
        "hardware": given.hardware,
        "more": given.more,
    }


def replies(given: argparse.Namespace, work: dict[str, int], variants: list[str], progress: Any) -> dict[str, Any]:
    """Return {variant: replies of its worker to `given.repeats` steps}; the workers take turns.

    work: {axis of BASE: its value}. UserError where a worker ends early.
    """
    spec, workers = specification(given, work), {}
    try:
        for name in variants:
            run = given.output / "runs" / f"step_{name.replace(' ', '_')}"
            run.mkdir(parents=True, exist_ok=True)
            own = spec | {"run": str(run.absolute()), "variant": name}
            workers[name] = Worker(Path(sys.executable), "ral.benches.ral_worker", own, run / "log.txt", given.threads)
        return in_turn(workers, WARMUP, given.repeats, progress)
    finally:
        for worker in workers.values():
            worker.close()


def against_all(found: dict[str, Any]) -> dict[str, Any]:
    """Return {variant: its figures compared with those of the variant `all`}.

    found: {variant: replies of its worker}.
    """
    return {name: compare(found["all"], answers) for name, answers in found.items() if name != "all"}


def exponent(points: dict[int, float]) -> float:
    """Return the exponent of a power law: the slope of the least-squares line through (ln size, ln value)."""
    xs, ys = [math.log(x) for x in points], [math.log(y) for y in points.values()]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / sum((x - mean_x) ** 2 for x in xs)


def growth(given: argparse.Namespace, progress: Any) -> tuple[dict[str, Any], str]:
    """Return seconds and peak memory of a step along each axis of GROWTH with their exponents, and a Markdown table."""
    result: dict[str, Any] = {}
    rows = []
    for axis, values in GROWTH.items():
        points, peaks = {}, {}
        for value in values:
            answers = replies(given, BASE | {axis: value}, ["all"], progress)["all"]
            ours = compare(answers, answers)["ours"]
            points[value], peaks[value] = ours["seconds"], ours["peak_gb"]
        slopes = {size: p["median"] for size, p in points.items()}, added(peaks)
        of_seconds, of_memory = (round(exponent(found), 2) for found in slopes)
        result[axis] = {"seconds": {str(k): v for k, v in points.items()}, "exponent": of_seconds}
        result[axis] |= {"peak_gb": {str(k): v for k, v in peaks.items()}, "memory_exponent": of_memory}
        cells = ", ".join(f"{size}: {range_text(p)}" for size, p in points.items())
        memory = ", ".join(f"{size}: {peak:.3f}" for size, peak in peaks.items())
        rows.append((axis.replace("_", " "), cells, of_seconds, memory, of_memory))
    others = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in BASE.items())
    head = (
        f"Seconds a step, median (min to max), and peak memory; the axes that do not vary: {others}. The exponent of\n"
        "memory is that of what each doubling adds, which leaves out what does not grow.\n\n"
    )
    return {"growth": result}, head + table(("over", "seconds", "exponent", "peak GB", "exponent "), rows)


def added(peaks: dict[int, float]) -> dict[int, float]:
    """Return {size: GB that it adds to the peak of the size before it}, at least LEAST_ADDED.

    peaks: {size: peak in GB}.
    """
    sizes = list(peaks)
    return {b: max(peaks[b] - peaks[a], LEAST_ADDED) for a, b in itertools.pairwise(sizes)}


def against_itself(given: argparse.Namespace, sizes: list[int], progress: Any) -> tuple[dict[str, Any], str]:
    """Return the figures of every variant compared with `all` at every size, and a Markdown table.

    sizes: visual tokens.
    """
    variants, result, rows = given.variants.split(","), {}, []
    for size in sizes:
        work = {"prompt_tokens": size, "group_size": given.group_size, "response_tokens": given.response_tokens}
        found = against_all(replies(given, work, variants, progress))
        result[str(size)] = found
        ours = next(iter(found.values()))["ours"]
        rows.append((size, "all", range_text(ours["seconds"]), "1", f"{ours['peak_gb']:.2f}", "1"))
        for name, f in found.items():
            memory = f"{f['theirs']['peak_gb']:.2f}", f"{1 / f['memory_ratio']:.2f}"
            rows.append((size, name, range_text(f["theirs"]["seconds"]), range_text(f["ratio"]), *memory))
    columns = ("visual tokens", "variant", "seconds a step", "times `all`", "peak GB", "times `all` ")
    last = result[str(sizes[-1])]
    plain = last.get("plain", next(iter(last.values())))
    top = {key: plain[key] for key in ("ratio", "memory_ratio", "ours", "theirs")}
    return {**top, "sizes": result}, "Median (min to max); ratios pair by pair.\n\n" + table(columns, rows, left=0)
