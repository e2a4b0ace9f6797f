"""Plant one mistake at a time in a copy of the code and see whether the tests named beside it notice.

    .venv/bin/python scripts/mutation_check.py             every mistake in scripts/mutations/*.toml (some minutes)
    .venv/bin/python scripts/mutation_check.py jsd clip    those whose file or description contains one of the words

ops.toml holds mistakes in the equations, rules.toml mistakes in what is accepted, refused, read and kept, passes.toml
mistakes in how a step is cut and in what is done meanwhile, handover.toml mistakes in the way of weights to vLLM. Works
in a temporary folder; nothing in the repository changes. Prints a line for each and exits with 1 if one survives.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import sys

from ral.checks.mutations import check

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="mistakes whose list, file or description contains one (default: all)")
    sys.exit(1 if check(parser.parse_args().words) else 0)
