"""Build report.html again from the files of a run: python scripts/report.py RUN_DIR [--output FILE]."""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works from a clone without installation

from ral.files.targets import HELP, OVERWRITE, check_free
from ral.report.page import FILE_NAME, build
from ral.types import UserError


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 with the page's path on stdout, or 1 with one line on stderr."""
    parser = argparse.ArgumentParser(description="Build the report of a run again from the files in its folder.")
    parser.add_argument("run_dir", type=Path, help="the folder a run printed last: outputs/<date>/<time>-<name>")
    parser.add_argument("--output", type=Path, help="where to write the page (default: RUN_DIR/report.html)")
    parser.add_argument(OVERWRITE, action="store_true", help=HELP)
    options = parser.parse_args(arguments)
    own = options.run_dir / FILE_NAME
    output = options.output or own
    try:
        check_free([output], options.overwrite or output.resolve() == own.resolve())
        print(build(options.run_dir, options.output))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
