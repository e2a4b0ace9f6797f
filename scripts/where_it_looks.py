"""Draws the figure of the README: a board of visual_path, and where the teacher looks at each step of its answer.

python scripts/where_it_looks.py            # docs/figures/where_it_looks.png, of a board that no model was made on
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import sys
from pathlib import Path

from ral.errors import UserError
from ral.files.repository import DOCS
from ral.files.targets import HELP, OVERWRITE, check_free


def main() -> None:
    """Make the boards, read one, draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="assets/path_teacher", help="model folder")
    parser.add_argument("--seed", type=int, default=31, help="of the boards")
    parser.add_argument("--entry", type=int, default=0, help="which board, from 0")
    own = DOCS / "figures" / "where_it_looks.png"
    parser.add_argument("--output", type=Path, default=own, help="the picture to write (default: the documentation's)")
    parser.add_argument(OVERWRITE, action="store_true", help=HELP)
    given = parser.parse_args()
    try:
        check_free([given.output], given.overwrite or given.output == own)
    except UserError as error:
        sys.exit(f"error: {error}")
    from ral.evaluation.attention_map import load_model
    from ral.study.where_it_looks import boards, draw, looks

    example = boards(Path(f"outputs/data/where_it_looks_{given.seed}"), given.seed)[given.entry]
    policy = load_model(given.checkpoint, "cpu")
    draw(looks(policy, example), example, given.output)
    print(f"figure: {given.output}")


if __name__ == "__main__":
    main()
