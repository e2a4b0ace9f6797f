"""Makes the W&B dashboard: sections for reward, attention, grounding and cost.

python scripts/dashboard.py --entity my-team --project ral     # uploads it where a key is configured (wandb login)
python scripts/dashboard.py                                    # without a key: its JSON alone, outputs/dashboard.json
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import sys
from pathlib import Path

from ral.errors import UserError
from ral.files.targets import HELP, OVERWRITE, check_free


def main() -> int:
    """Write the JSON, then upload where there is a key."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entity", default="", help="W&B user or team; needed for the upload")
    parser.add_argument("--project", default="ral", help="as logger.wandb.project")
    parser.add_argument("--output", type=Path, help="file of the JSON (default: outputs/dashboard.json, made anew)")
    parser.add_argument(OVERWRITE, action="store_true", help=HELP)
    given = parser.parse_args()
    from ral.report.dashboard import upload, write

    try:
        check_free([given.output] if given.output else [], given.overwrite)
        file = write(given.entity, given.project, given.output or Path("outputs/dashboard.json"))
        print(f"dashboard: {file}")
        from ral.lit.loggers import has_key  # takes seconds

        if not has_key():
            print("no W&B key is configured, so nothing was uploaded: wandb login, then the same command")
        elif not given.entity:
            raise UserError("write --entity <your W&B user or team> to upload it")
        else:
            print(f"dashboard: {upload(given.entity, given.project)}")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
