"""A sweep's runs side by side: means over seeds with intervals, paired differences, learning curves.

    python scripts/compare.py outputs/2026-11-24/10-00-00-sweep
    python scripts/compare.py outputs/my_sweep --metric eval/grounding --baseline algo=grpo

Runs that differ in `seed` alone are one row. Writes compare.md, compare.json and compare.png into the folder (or
--output); for another metric than eval/accuracy the names hold it (compare_eval_grounding.md). A run without a last
evaluation is named with the reason, and left out.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import sys
from pathlib import Path

from ral.errors import UserError
from ral.study.compare import compare, stem


def main() -> None:
    """Compare the runs of the sweep that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the sweep: one folder a run in it")
    parser.add_argument("--metric", default="eval/accuracy", help="of metrics.jsonl (default: %(default)s)")
    parser.add_argument(
        "--baseline",
        help="the override that names it, such as algo=grpo, or a row as the table prints it (default: the first runs)",
    )
    parser.add_argument("--output", type=Path, help="folder for what is written (default: the sweep's)")
    given = parser.parse_args()
    output = given.output or given.folder
    try:
        compare(given.folder, output, given.metric, given.baseline)
    except UserError as error:
        sys.exit(f"error: {error}")
    name = stem(given.metric)
    print(f"compare: {output / f'{name}.md'} {output / f'{name}.png'}")


if __name__ == "__main__":
    main()
