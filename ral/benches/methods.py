"""Whole training steps of several algorithms on the same prompts, whose images have evidence.

In this module `given` is the parsed command line of scripts/bench_methods.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ral.benches.measure import Worker, compare, in_turn
from ral.benches.step import WARMUP, specification

BASE = "grpo"
EVIDENCE = [{"box": [0.25, 0.25, 0.5, 0.5]}]
"""The evidence of each entry: one box that covers a sixteenth of its image."""


def with_evidence(folder: Path) -> None:
    """Add EVIDENCE to each entry of the file data.jsonl in a folder."""
    rows = [json.loads(line) for line in (folder / "data.jsonl").read_text().splitlines()]
    (folder / "data.jsonl").write_text("".join(json.dumps(row | {"evidence": EVIDENCE}) + "\n" for row in rows))


def measured(given: argparse.Namespace, size: int, names: list[str], progress: Any) -> dict[str, Any]:
    """Return {algorithm: figures of a step compared with GRPO's}, as `ral.benches.measure.compare` returns them.

    size: visual tokens of a prompt. names: the algorithms. progress: called after each step. UserError where a worker
    ends early.
    """
    work = {"prompt_tokens": size, "group_size": given.group_size, "response_tokens": given.response_tokens}
    spec, workers = specification(given, work), dict[str, Worker]()
    with_evidence(Path(spec["data"]))
    try:
        for name in (BASE, *names):
            run = given.output.absolute() / "runs" / f"method_{name}"
            run.mkdir(parents=True, exist_ok=True)
            own = spec | {"run": str(run), "algo": name}
            workers[name] = Worker(Path(sys.executable), "ral.benches.ral_worker", own, run / "log.txt", given.threads)
        found = in_turn(workers, WARMUP, given.repeats, progress)
    finally:
        for worker in workers.values():
            worker.close()
    return {name: compare(found[BASE], found[name]) for name in names}
