"""Holds a model family against Transformers on a random model of its recipe: a line a check, exit code 1 if one fails.

    python scripts/check_family.py qwen3_vl                    # a family of this project
    PYTHONPATH=. python scripts/check_family.py mine.FAMILY    # one of your own, in mine.py

Checks: load, tensors of pixels, layout of prompts, positions, log-probs, captured attention = eager attention, shared
prompts = plain rows, log-probs as sampled = as trained, gradients of the vision tower (ral.checks.family).
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import sys
import tempfile
from pathlib import Path

from ral.errors import UserError


def main() -> int:
    """Print the lines; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", help="model_type of a family, or module.NAME of your own (model.family=... as well)")
    name = parser.parse_args().family.removeprefix("model.family=")
    from ral.checks.family import check_family
    from ral.models.registry import FAMILIES, model_type_of

    try:
        family = FAMILIES[model_type_of(name, "family")]
    except UserError as error:
        sys.exit(f"error: {error}")
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for passed, line in check_family(family, Path(folder)):
            print(f"{'ok    ' if passed else 'FAILED'} {line}", flush=True)
            failed += not passed
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
