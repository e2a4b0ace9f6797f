"""A benchmark at several numbers of frames or visual tokens, for one or two checkpoints: one figure and a table.

python scripts/ablation.py --checkpoints GRPO=outputs/grpo/hf RAL=outputs/ral/hf --axis frames --output outputs/frames \
    benchmark=longvideobench benchmark.path=/data/longvideobench template=think
python scripts/ablation.py --checkpoints GRPO=outputs/grpo/hf RAL=outputs/ral/hf --axis tokens --output outputs/tokens \
    benchmark=vstar benchmark.path=/data/vstar template=think

The paper's figure 3: LongVideoBench at 32, 64 and 128 frames, V* at 512, 1024 and 2048 visual tokens of 28 x 28 pixels.
Each point is an evaluation of its own (evaluate.py), in <output>/<name>-<value>; the same command goes on with what
was interrupted. Writes <output>/ablation.png and ablation.md: accuracy and, of two checkpoints, the difference on the
same items, with 95% bootstrap intervals.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ral.errors import UserError
from ral.study.ablation import VALUES, Asked, draw, measure, table


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoints", nargs="+", required=True, metavar="NAME=FOLDER", help="one or two")
    parser.add_argument("--axis", choices=list(VALUES), required=True, help="what is varied")
    parser.add_argument("--values", type=int, nargs="+", help="default: the paper's, 32 64 128 or 512 1024 2048")
    parser.add_argument("--output", type=Path, required=True, help="folder of the figure, the table and evaluations")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="for evaluate.py: benchmark=..., template=...")
    found = parser.parse_intermixed_args(arguments)
    found.values = found.values or VALUES[found.axis]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 with the figure as the last line, or 1 with one line on stderr."""
    found = parse(arguments)
    asked = Asked(found.axis, found.values, found.settings, found.output)
    names = dict(pair.partition("=")[::2] for pair in found.checkpoints)
    try:
        if len(names) > 2 or not all(names.values()):
            raise UserError("--checkpoints takes one or two NAME=FOLDER, and names that differ")
        points, changes = measure(asked, names)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    text = table(asked, list(names), points, changes)
    (found.output / "ablation.md").write_text(text, encoding="utf-8")
    draw(found.output / "ablation.png", asked, list(names), points)
    print(f"{text}figure: {found.output / 'ablation.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
