"""Main memory and time that the networks of a sharded run take to load: by parts, and whole on every rank.

    python scripts/bench_loading.py                                       # 330 million weights, 2 and 4 processes
    python scripts/bench_loading.py --ranks 2 --others reference,ema --files float32 --repeats 1

Peak memory of each rank is its resident memory beyond that of a process that has imported everything and loaded the
shipped model; it is set against the rank's parts of all networks and the largest decoder layer. `alike` says whether
both ways give the same weights, bit for bit. The last line is a JSON object.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import sys
from pathlib import Path

import torch

from ral.benches.loading import PATHS, SIZES, markdown, measured
from ral.benches.measure import machine, progress_bar, publish
from ral.errors import UserError


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", default="2,4", help="numbers of processes, a comma list (default: %(default)s)")
    parser.add_argument("--others", default="reference", help="of reference, ema: networks beside the policy")
    parser.add_argument("--model", choices=list(SIZES), default="300m", help="shape of the model")
    parser.add_argument("--files", default="bfloat16", help="dtype of the model's files (default: %(default)s)")
    parser.add_argument("--dtype", default="float32", help="of frozen weights (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="loadings of each kind (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("outputs/bench"), help="folder for everything written")
    others = ("--prompt-tokens", "--response-tokens", "--group-size", "--threads")
    parser.add_argument(*others, dest="unused", help="of the other scripts that `make bench` runs; no use here")
    return parser.parse_args()


def main() -> None:
    """Measure; one line and exit code 1 where something is wrong."""
    given = arguments()
    given.output.mkdir(parents=True, exist_ok=True)
    try:
        with progress_bar() as progress:
            total = len(given.ranks.split(",")) * len(PATHS) * given.repeats
            task = progress.add_task("loading", total=total)
            found = measured(given, lambda: progress.advance(task))
    except UserError as error:
        sys.exit(f"error: {error}")
    settings = {k: v for k, v in vars(given).items() if k not in ("output", "unused")}
    facts = machine(torch=torch.__version__)
    publish(given.output / "loading", {"ranks": found, "settings": settings, "machine": facts}, markdown(found))


if __name__ == "__main__":
    main()
