"""Write a checkpoint's policy as a Hugging Face folder, from whole checkpoints and from those in shards.

    python scripts/export.py outputs/.../checkpoints/step_000050 [--output my_model]
    python scripts/export.py outputs/.../checkpoints/step_000050 --overwrite    # in place of what was exported before
    python scripts/export.py outputs/.../adapter        # a run's adapter, or peft's, added into its base model

One process is enough, however many wrote the shards. Adapters (lora.rank) are added in, and lie beside it as adapter/.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import os
import sys
from pathlib import Path

from ral.errors import UserError
from ral.files.pretrained import ADAPTER
from ral.files.targets import HELP, OVERWRITE
from ral.machine import check_alone


def export(checkpoint: Path, output: Path, overwrite: bool = False) -> Path:
    """Write hf/ (and adapter/) below `output`, as `write_checkpoint` does; the folder of the model."""
    from ral.assembly.exported import refuse_no_adapter, write_checkpoint
    from ral.starting import config_of, quiet_libraries

    quiet_libraries()
    refuse_no_adapter(checkpoint)
    return write_checkpoint(checkpoint, config_of, output, overwrite)


def export_adapter(adapter: Path, output: Path | None, base: str | None, overwrite: bool = False) -> Path:
    """Write hf/ below `output`, as `write_merged` does; the folder of the model."""
    from ral.assembly.exported import write_merged

    return write_merged(adapter, output, base, overwrite)


def main() -> None:
    """Export the checkpoint that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=lambda text: Path(text).absolute(), help="step_N of a run, or an adapter")
    parser.add_argument("--output", type=Path, help="folder for hf/ (default: exported_step_N in the run's folder)")
    parser.add_argument("--base", help="of an adapter: its base model (default: the one that the adapter names)")
    parser.add_argument(OVERWRITE, action="store_true", help=HELP)
    given = parser.parse_args()
    folder, output = given.checkpoint, given.output
    try:
        check_alone(os.environ, "scripts/export.py")
        if (folder / ADAPTER).is_file():
            model = export_adapter(folder, output, given.base, given.overwrite)
        else:
            model = export(folder, output or folder.parents[1] / f"exported_{folder.name}", given.overwrite)
        print(f"model: {model}")
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
