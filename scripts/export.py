"""Write a checkpoint's policy as a Hugging Face folder, from whole checkpoints and from those in shards.

    python scripts/export.py outputs/.../checkpoints/step_000050 [--output my_model]
    python scripts/export.py outputs/.../checkpoints/step_000050 --overwrite    # in place of what was exported before

One process is enough, however many wrote the shards. Adapters (lora.rank) are added in, and lie beside it as adapter/.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import os
import sys
from pathlib import Path

from ral.errors import UserError
from ral.files.targets import HELP, OVERWRITE
from ral.machine import check_alone


def main() -> None:
    """Export the checkpoint that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=lambda text: Path(text).absolute(), help="folder step_N of a run")
    parser.add_argument("--output", type=Path, help="folder for hf/ (default: exported_step_N in the run's folder)")
    parser.add_argument(OVERWRITE, action="store_true", help=HELP)
    given = parser.parse_args()
    output = given.output or given.checkpoint.parents[1] / f"exported_{given.checkpoint.name}"
    try:
        check_alone(os.environ, "scripts/export.py")
        from ral.api.exporting import export

        print(f"model: {export(given.checkpoint, output, given.overwrite)}")
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
