"""Upload W&B runs that were kept offline: `wandb sync` for all of them below a folder.

    python scripts/sync.py                        # everything below outputs/
    python scripts/sync.py outputs/my_sweep --dry-run

Needs a key: `wandb login`, or WANDB_API_KEY. What is uploaded already is left alone; copies that W&B staged for it go.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PATTERN = "offline-run-*"


def offline_runs(folder: Path) -> list[Path]:
    """The folders of offline runs below `folder`, oldest first; wandb marks those it has uploaded."""
    found = [path for path in folder.rglob(PATTERN) if path.is_dir() and not path.is_symlink()]
    waiting = [path for path in found if not list(path.glob("*.wandb.synced"))]
    return sorted(waiting, key=lambda path: path.name)


def main() -> None:
    """Upload them in one call, which joins the parts of a resumed run; exit code 1 where one could not be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "outputs", help="default: outputs/")
    parser.add_argument("--dry-run", action="store_true", help="list them and upload nothing")
    given = parser.parse_args()
    if not given.folder.is_dir():
        sys.exit(f"error: {given.folder}: no such folder; write that of a run, a sweep, or outputs")
    runs = offline_runs(given.folder)
    for run in runs:
        print(run, flush=True)
    print(f"runs: {len(runs)} offline below {given.folder}", flush=True)
    if not runs or given.dry_run:
        return
    if subprocess.run([sys.executable, "-m", "wandb", "sync", *map(str, runs)]).returncode:
        sys.exit("error: not all could be uploaded; what wandb said stands above")
    if left := offline_runs(given.folder):
        sys.exit(f"error: {len(left)} are not uploaded, the first {left[0]}; what wandb said stands above")
    from ral.lit.artifacts import unstage  # takes seconds

    for folder in {run.parent for run in runs}:
        unstage(folder)


if __name__ == "__main__":
    main()
