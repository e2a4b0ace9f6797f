"""Turn the data folder of the package easy-vqa into Video-R1 JSON, ready for dataset=jsonl.
Every question becomes multiple choice: the options are the answers that questions of its kind
have in the package (yes/no, 3 shapes, 8 colors), always in the same order.

get the data:
  pip download easy-vqa==1.0 --no-deps -d /tmp/easy && unzip -q /tmp/easy/easy_vqa-1.0*.whl -d /tmp/easy
  python scripts/easy_vqa_to_json.py --source /tmp/easy/easy_vqa/data --output data/easy_vqa"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works from a clone without installation

from ral.errors import UserError
from ral.files.targets import HELP, OVERWRITE
from ral.worlds.easy_vqa import SPLITS, Conversion, convert

EPILOG = """\
written to OUTPUT:
  sft.json         with reasoning, from the first share of the training pictures (shuffled)
  train.json       for RL, from the other training pictures
  validation.json  from one half of the test pictures
  test.json        from the other half
No picture occurs in two of the files. Paths in them look like ./train/images/12.png: relative to OUTPUT,
where the pictures are copied, or with --no-copy to the source, then pass dataset.media_root=SOURCE."""


def count(text: str) -> int:
    """A limit on the command line: an integer above 0."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of entries; write an integer above 0")
    return int(text)


def share(text: str) -> float:
    """A share on the command line: a number between 0 and 1, both left out."""
    if not re.fullmatch(r"0?\.\d+", text) or not float(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a share; write a number between 0 and 1, such as 0.5")
    return float(text)


def main(argv: list[str] | None = None) -> int:
    """Exit code 0, or 1 with one line on stderr."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, epilog=EPILOG, formatter_class=form)
    parser.add_argument("--source", type=Path, required=True, help="folder easy_vqa/data of the unpacked package")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to; made if missing")
    for name in SPLITS:
        parser.add_argument(f"--limit-{name}", type=count, metavar="N", help=f"at most N entries in {name}.json")
    parser.add_argument("--sft-share", type=share, default=0.5, help="share of training pictures for sft.json (0.5)")
    parser.add_argument("--seed", type=int, default=0, help="decides the order and the split (0)")
    copy = "copy the pictures to OUTPUT, or leave them and pass dataset.media_root=SOURCE when training"
    parser.add_argument("--copy", action=argparse.BooleanOptionalAction, default=True, help=copy)
    parser.add_argument(OVERWRITE, action="store_true", help=HELP)
    given = parser.parse_args(argv)
    limits = {name: getattr(given, f"limit_{name}") for name in SPLITS}
    try:
        convert(
            Conversion(given.source, given.output, limits, given.sft_share, given.seed, given.copy, given.overwrite)
        )
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
