"""Evaluations side by side, by type of question, with intervals.

    python scripts/side_by_side.py shipped=outputs/eval/shipped GRPO=outputs/eval/grpo_0 RAL=outputs/eval/ral_0
    python scripts/side_by_side.py GRPO=outputs/grpo_0,outputs/grpo_1 RAL=outputs/ral_0,outputs/ral_1

A row is one evaluation (evaluate.py's output folder), with 95% bootstrap intervals over its items; or the same
evaluation of several runs, with the mean over runs and its 95% interval by Student's t. All must have asked the same
items of the same benchmark in the same way. The table goes to --output, if given, and to the terminal.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ral.errors import UserError
from ral.files.targets import HELP, OVERWRITE, check_free
from ral.study.side_by_side import table


def main(arguments: Sequence[str] | None = None) -> None:
    """Exit code 1 with one line on stderr where evaluations are missing or do not compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="+", metavar="NAME=FOLDER[,FOLDER...]", help="a row of the table")
    parser.add_argument("--output", type=Path, help="file for the table")
    parser.add_argument(OVERWRITE, action="store_true", help=HELP)
    given = parser.parse_args(arguments)
    pairs = [row.partition("=") for row in given.rows]
    try:
        if not all(name and folders for name, _, folders in pairs):
            raise UserError("a row is NAME=FOLDER, or NAME=FOLDER,FOLDER for several runs")
        check_free([given.output] if given.output else [], given.overwrite)
        text = table({name: [Path(folder) for folder in folders.split(",")] for name, _, folders in pairs})
    except UserError as error:
        sys.exit(f"error: {error}")
    if given.output:
        given.output.write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
