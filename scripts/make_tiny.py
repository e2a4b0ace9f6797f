"""Rebuilds the small models from nothing: `make tiny`, over an hour on two cores (recipe and scores: docs/tiny.md).

Three stages of this project's own `algo=sft`: `base` learns to see and speak from random weights, with a tokenizer
trained on the default data's text; `tiny_teacher` continues on right answers alone; `tiny` continues from there on
targets of which a share speaks of the most salient object instead of the asked one: it knows how, and does not do it.

Those of dataset=visual_path are made on request, from the shipped teacher: `path_arrows` (assets/path_teacher) learns
to look at one place after the other, `path_arrows_student` (assets/path_student) then to read the neighbouring cell in
most steps. `path_middle` and `path_zooms` (assets/path_wide_teacher) go on from path_arrows to larger pictures and
routes of 2 to 8 steps, `path_zooms_student` (assets/path_wide_student) from there as path_arrows_student does.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import os
import sys
from pathlib import Path

from ral.errors import UserError
from ral.files.repository import ROOT
from ral.files.targets import HELP, OVERWRITE, check_free
from ral.models.tiny import RECIPES, SHIPPED, STAGES, initial, ship, train


def main() -> None:
    """Run the stages that are missing, in order, and put the shipped models where the configuration finds them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = " ".join(STAGES)
    known = f"which of {', '.join(RECIPES)} (default: {default})"
    parser.add_argument("stages", nargs="*", default=list(STAGES), help=known)
    parser.add_argument(
        "--output", type=Path, default=ROOT / "assets", help="where they go (default: assets, made anew)"
    )
    parser.add_argument(OVERWRITE, action="store_true", help=HELP)
    arguments = parser.parse_args()
    shipped = [arguments.output / SHIPPED[name] for name in arguments.stages if name in SHIPPED]
    try:
        check_free(shipped, arguments.overwrite or arguments.output == ROOT / "assets")
    except UserError as error:
        sys.exit(f"error: {error}")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for name in arguments.stages:
        if name not in RECIPES:
            sys.exit(f"error: no stage '{name}': write {', '.join(RECIPES)}")
        folder = train(name, initial(name))
        if name in SHIPPED:
            folder = ship(name, folder, arguments.output)
        print(f"{name}: {folder}")


if __name__ == "__main__":
    main()
