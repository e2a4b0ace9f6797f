"""Plans (plan=true) against runs on this machine: peak memory of each rank, memory at load, and seconds of a step.

    python scripts/bench_plan.py                                    # all runs; some ten minutes on two idle cores
    python scripts/bench_plan.py --runs full '2 ranks, fsdp' --kinds memory
    python scripts/bench_plan.py --kinds time
    python scripts/bench_plan.py --runs adapters --hardware single_gpu --shape 7b --prompt-tokens 4096   # on a GPU

Memory: resident memory of a step beyond what the process holds after a step with a small model; on a GPU what PyTorch
allocated. Time: median of the steps after the first, against a plan with the numbers of conf/machine by which the run
`full`, or without it the first one, takes what it took, and `2 ranks, ddp` for the rate between processes ("calibrated"
in the JSON, to write into a yaml of your own). The JSON, the last line, has both by stage of a step.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import sys
from pathlib import Path

import torch

from ral.benches.measure import machine, progress_bar, publish
from ral.benches.plan import ADAPTERS, KINDS, RUNS, markdown, measured
from ral.benches.step import SIZES
from ral.errors import UserError


def first_size(text: str) -> int:
    """Return the first of a comma list of sizes, as `make bench` hands them to all scripts."""
    return int(text.split(",")[0])


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--runs", nargs="+", choices=[*RUNS, ADAPTERS], default=list(RUNS), help="default: all but adapters"
    )
    parser.add_argument(
        "--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="what to measure (default: both)"
    )
    parser.add_argument("--repeats", type=int, default=3, help="steps whose seconds count (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("outputs/bench"), help="folder for everything written")
    parser.add_argument("--hardware", default="cpu", help="of the run adapters: cpu, or single_gpu")
    parser.add_argument("--shape", choices=list(SIZES), default="small", help="of its model (default: %(default)s)")
    parser.add_argument(
        "--prompt-tokens", type=first_size, default=256, help="its visual tokens (default: %(default)s)"
    )
    others = ("--response-tokens", "--group-size", "--threads")
    parser.add_argument(*others, dest="unused", help="of the other scripts that `make bench` runs; no use here")
    return parser.parse_args()


def main() -> None:
    """Measure; one line and exit code 1 where something is wrong."""
    given = arguments()
    given.output = given.output.absolute()
    given.output.mkdir(parents=True, exist_ok=True)
    try:
        with progress_bar() as progress:
            task = progress.add_task("runs", total=len(given.runs) * len(given.kinds))
            found = measured(given, lambda: progress.advance(task))
    except UserError as error:
        sys.exit(f"error: {error}")
    settings = {k: v for k, v in vars(given).items() if k not in ("output", "unused")}
    result = {**found, "settings": settings, "machine": machine(torch=torch.__version__)}
    publish(given.output / "plan", result, markdown(found["runs"]))


if __name__ == "__main__":
    main()
