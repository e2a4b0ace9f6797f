"""Main memory and time of loading sharded networks: each rank reads its own shards, or the whole networks.

In this module `given` is the parsed command line of scripts/bench_loading.py.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ral.benches.measure import spread
from ral.benches.work import VOCABULARY, write_bench_model
from ral.errors import UserError
from ral.files.markdown import table
from ral.files.repository import ROOT
from ral.models.recipe import Sizes

SIZES = {
    "300m": Sizes(1024, 20, 8, 2, 4096, vision_hidden=512, vision_depth=8, vision_heads=8),
    "small": Sizes(hidden=256, layers=4, heads=4, kv_heads=2, mlp=704, vision_hidden=128, vision_depth=4),
}
"""Shapes of Qwen2.5-VL: one of some 330 million weights, and one that loads in a second."""
PATHS = ("parts", "whole")
BOUND = 1.3
"""Largest peak memory of a rank that is accepted, relative to its shards plus the largest layer."""


def model_of(given: argparse.Namespace) -> Path:
    """Return the folder of the random model, which is written unless it is there already."""
    folder: Path = given.output / f"loading_{given.model}_{given.files}"
    return write_bench_model(folder, SIZES[given.model], VOCABULARY, dtype=given.files)


def ranks_of(given: argparse.Namespace, model: Path, ranks: int, path: str) -> list[dict[str, Any]]:
    """Load the model once in `ranks` processes; return the measurements of each. UserError where a process fails.

    path: "parts" (each rank reads its shards) or "whole".
    """
    with tempfile.TemporaryDirectory() as meeting:
        spec = {"model": str(model.absolute()), "ranks": ranks, "path": path, "meet": f"file://{meeting}/meet"}
        spec |= {"dtype": given.dtype, "others": given.others.split(",") if given.others else []}
        variables = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "ral.benches.loading_worker", json.dumps({**spec, "rank": rank})],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=variables,
            )
            for rank in range(ranks)
        ]
        said = [process.communicate() for process in processes]
    for rank, (process, (_, errors)) in enumerate(zip(processes, said, strict=True)):
        if process.returncode:
            raise UserError(f"rank {rank} of {ranks} ended; its last words: {errors.strip().splitlines()[-1]}")
    return [json.loads(answer.strip().splitlines()[-1]) for answer, _ in said]


def summed(replies: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the figures of repeated loadings: memory of each rank in GB, and the spread of the first rank's seconds.

    replies: for each repetition, the measurements of each rank. times_needed: a rank's peak over its shards plus the
    largest layer.
    """
    by_rank = list(zip(*replies, strict=True))
    peaks = [max(reply["peak_gb"] for reply in rank) for rank in by_rank]
    needed = [rank[0]["parts_gb"] + rank[0]["largest_layer_gb"] for rank in by_rank]
    return {
        "peak_gb": [round(peak, 3) for peak in peaks],
        "parts_gb": [round(rank[0]["parts_gb"], 3) for rank in by_rank],
        "largest_layer_gb": round(by_rank[0][0]["largest_layer_gb"], 3),
        "times_needed": [round(peak / need, 2) for peak, need in zip(peaks, needed, strict=True)],
        "seconds": spread([reply[0]["seconds"] for reply in replies], 2),
    }


def measured(given: argparse.Namespace, progress: Any) -> dict[str, Any]:
    """Return {number of ranks: figures of both ways to load}; the two ways take turns.

    In the figures, alike tells whether both ways gave the same weights bit for bit, within_bound whether reading by
    shards keeps to BOUND. progress: called after each loading. UserError where a process fails.
    """
    model, result = model_of(given), {}
    for ranks in map(int, given.ranks.split(",")):
        replies: dict[str, list[list[dict[str, Any]]]] = {path: [] for path in PATHS}
        for _ in range(given.repeats):
            for path in PATHS:
                replies[path].append(ranks_of(given, model, ranks, path))
                progress()
        sums = [[rank["checksum"] for rank in replies[path][0]] for path in PATHS]
        found = {path: summed(each) for path, each in replies.items()}
        weights = replies["parts"][0][0]["weights"]
        within = max(found["parts"]["times_needed"]) <= BOUND
        result[str(ranks)] = {**found, "alike": sums[0] == sums[1], "weights": weights, "within_bound": within}
    return result


def markdown(found: dict[str, Any]) -> str:
    """Return the figures of `measured` as a Markdown table."""
    rows = []
    for ranks, figures in found.items():
        for path in PATHS:
            one = figures[path]
            cells = (f"{max(one['parts_gb']):.2f}", f"{max(one['peak_gb']):.2f}", f"{max(one['times_needed']):.2f}")
            rows.append((ranks, path, *cells, f"{one['seconds']['median']:.1f}"))
    head = ("ranks", "read as", "parts of a rank, GB", "peak of a rank, GB", "peak / (parts + layer)", "seconds")
    return table(head, rows, left=2)
