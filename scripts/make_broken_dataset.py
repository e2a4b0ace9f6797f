"""Makes a data set in Video-R1's format of which a known share is broken, to see what a scan and a run make of it.

    python scripts/make_broken_dataset.py --output outputs/broken --entries 260000

Writes OUTPUT/data.json (the format of Video-R1-260k.json), OUTPUT/media/ and OUTPUT/key.jsonl: one line for each entry
that is broken (`index`, `kind`), nine kinds of them, or odd but good (`index`, `odd`). Every entry has a file name of
its own; files of the same content are hard links, so that the disk holds little.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import sys
from pathlib import Path

from ral.worlds.broken import make


def main() -> None:
    """Make the data set and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder to write, or to make anew")
    parser.add_argument("--entries", type=int, default=260_000, help="(default: %(default)s)")
    parser.add_argument("--share", type=float, default=0.01, help="of broken entries (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of which entries are broken (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.output.exists() and not (arguments.output / "key.jsonl").exists():
        sys.exit(f"error: --output {arguments.output} exists and is not of this script's making: name another folder")
    make(arguments.output, arguments.entries, arguments.share, arguments.seed)
    print(f"data: {arguments.output / 'data.json'}")


if __name__ == "__main__":
    main()
