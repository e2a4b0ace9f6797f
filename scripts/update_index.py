"""Draws what each update on a rollout batch gets from the attention term: JSD and gradient ratio by update index.

    python scripts/update_index.py outputs/2026-11-23/20-31-05-ral --output docs/figures/update_index.png

Reads the keys `train/attention_jsd_update_<k>` and `train/attention_gradient_ratio_update_<k>` of a run's metrics.jsonl
(docs/metrics.md): one faint line for each measured step, the median over steps on top.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import sys
from pathlib import Path

import numpy as np

from ral.errors import UserError
from ral.files import jsonl
from ral.files.targets import HELP, OVERWRITE, check_free
from ral.study.update_index import PANELS, by_update, draw


def main() -> None:
    """Draw, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a run with an attention term")
    parser.add_argument("--output", type=Path, default=Path("update_index.png"), help="the picture to write")
    parser.add_argument(OVERWRITE, action="store_true", help=HELP)
    given = parser.parse_args()
    file = given.run / "metrics.jsonl"
    if not file.is_file():
        sys.exit(f"error: {file}: no such file; name the folder of a run")
    try:
        check_free([given.output], given.overwrite)
    except UserError as error:
        sys.exit(f"error: {error}")
    lines = jsonl.read(file)
    tables = {name: by_update(lines, name) for name in PANELS}
    for name, values in tables.items():
        if not values.size:
            sys.exit(f"error: {file}: no train/{name}_update_1; the run needs algo=ral and diagnostics.every above 0")
        print(f"{name}: {' '.join(f'{v:.3g}' for v in np.median(values, axis=0))} (median of {len(values)} steps)")
    draw(tables, given.output)


if __name__ == "__main__":
    main()
