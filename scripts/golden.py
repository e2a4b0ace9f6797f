"""Run short trainings of two checkouts and compare every metric, to show that a change of structure changes no result.

    python scripts/golden.py run --checkout /path/to/before --output /tmp/before      # 7 algorithms x 2 seeds, 5 steps
    python scripts/golden.py run --checkout . --output /tmp/after --processes ddp fsdp
    python scripts/golden.py compare /tmp/before /tmp/after --tolerance 1e-6
    python scripts/golden.py compare /tmp/before /tmp/after --renamed train/log_prob_gap=train/engine_log_prob_gap

`run` uses this Python and the code of the checkout. `compare` prints a line for each run: metrics compared, the largest
relative difference and where, keys that only one side has. Exits with 1 above the tolerance (0: to the last digit).
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import sys
from pathlib import Path

from ral.checks.golden import ALGORITHMS, PROCESSES, compare, run


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    make = verbs.add_parser("run", help="make the runs of one checkout")
    make.add_argument("--checkout", type=Path, default=Path())
    make.add_argument("--output", type=Path, required=True)
    make.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, default=ALGORITHMS)
    make.add_argument("--seeds", nargs="+", type=int, default=(0, 1))
    make.add_argument("--processes", nargs="+", choices=PROCESSES, default=("single",))
    both = verbs.add_parser("compare", help="compare the runs of two checkouts")
    both.add_argument("before", type=Path)
    both.add_argument("after", type=Path)
    both.add_argument("--tolerance", type=float, default=0.0)
    both.add_argument(
        "--renamed", nargs="+", default=[], metavar="BEFORE=AFTER", help="metrics with another name since"
    )
    chosen = parser.parse_args()
    if chosen.verb == "compare":
        renamed = dict(pair.split("=", 1) for pair in chosen.renamed)
        return int(compare(chosen.before, chosen.after, chosen.tolerance, renamed) > 0)
    run(chosen.checkout.resolve(), chosen.output.resolve(), chosen.algorithms, chosen.seeds, chosen.processes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
