"""Plans (plan=true) against runs on this machine: peak memory of each rank, memory at load, and seconds of a step.

    python scripts/bench_plan.py                                    # all runs; some ten minutes on two idle cores
    python scripts/bench_plan.py --runs full '2 ranks, fsdp' --kinds memory
    python scripts/bench_plan.py --kinds time

Memory: resident memory of a step beyond what the process holds after a step with a small model. Time: median of three
steps, against a plan with the numbers of conf/machine that the first run gives ("calibrated" in the JSON). The
last line is a JSON object.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from ral.benches.measure import machine, progress_bar, publish
from ral.benches.plan import KINDS, RUNS, markdown, measured
from ral.errors import UserError


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", choices=list(RUNS), default=list(RUNS), help="default: all")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="what to measure (default: both)")
    parser.add_argument("--repeats", type=int, default=3, help="steps whose seconds count (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("outputs/bench"), help="folder for everything written")
    others = ("--prompt-tokens", "--response-tokens", "--group-size", "--threads")
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
