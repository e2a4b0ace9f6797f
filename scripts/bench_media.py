"""Pictures and clips a second per worker: this project's media pipeline beside plain decord and Transformers.

    python scripts/bench_media.py
    python scripts/bench_media.py --clips /my/clips --pictures /my/pictures
    pip install --no-deps --target tv torchvision==0.28.0 && PYTHONPATH=tv python scripts/bench_media.py

From a file to the tensors of the vision tower (patches of 14 x 14 pixels, normalised). The sides take turns, file by
file. Transformers' video processor takes part where torchvision can be imported; it gets what decord decodes.
The last line is a JSON object.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import sys
from pathlib import Path

import torch

from ral.benches.measure import machine, progress_bar, publish
from ral.benches.media import files_of, markdown, measure, sides
from ral.errors import UserError


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, help="folder of clips (default: some are made)")
    parser.add_argument("--pictures", type=Path, help="folder of pictures (default: some are made)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds that count (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("outputs/bench"), help="folder for everything written")
    others = ("--prompt-tokens", "--response-tokens", "--group-size")
    parser.add_argument(*others, dest="unused", help="of the other scripts that `make bench` runs; no use here")
    return parser.parse_args()


def main() -> None:
    """Measure clips and pictures; one line and exit code 1 where something is wrong."""
    given = arguments()
    torch.set_num_threads(given.threads)
    kinds = sides()
    try:
        files = files_of(given.clips, given.pictures, given.output)
        with progress_bar() as progress:
            task = progress.add_task("measuring", total=len(kinds) * (given.repeats + 1))
            found = {k: measure(v, files[k], given.repeats, lambda: progress.advance(task)) for k, v in kinds.items()}
    except UserError as error:
        sys.exit(f"error: {error}")
    settings = {"repeats": given.repeats, "files": {kind: len(paths) for kind, paths in files.items()}}
    facts = machine(torch=torch.__version__, threads=str(given.threads))
    publish(given.output / "media", {**found, "settings": settings, "machine": facts}, markdown(found))


if __name__ == "__main__":
    main()
