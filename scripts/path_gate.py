"""Checks a teacher and a student of dataset=visual_path before anything is claimed on them: each rule, its value, kept?

    python scripts/path_gate.py outputs/tiny/data_path_arrows/validation.json TEACHER STUDENT --limit 256

TEACHER and STUDENT are model folders, such as a run's hf/. Steps are judged given the right ones so far. Accuracies of
the teacher as it is, with the evidence cut from response tokens, from question tokens, and with as many other visual
tokens cut, in percent, come after --cuts (scripts/knockout.py measures them). Exit code 1 where a rule is broken.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import sys
from pathlib import Path

from ral.errors import UserError


def main() -> int:
    """Print the figures of both models and the rules."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="held-out entries with steps")
    parser.add_argument("teacher", help="model folder")
    parser.add_argument("student", help="model folder")
    parser.add_argument("--limit", type=int, help="first entries (default: all)")
    parser.add_argument("--cuts", type=float, nargs=4, metavar=("WHOLE", "RESPONSE", "QUESTION", "PLACEBO"))
    given = parser.parse_args()
    from ral.data.sources import read_file
    from ral.evaluation.attention_map import load_model
    from ral.evaluation.steps import step_figures
    from ral.study.path_gate import Cuts, page, rules

    try:
        examples = read_file(given.data, limit=given.limit)
        found = [step_figures(load_model(name, "cpu"), examples) for name in (given.teacher, given.student)]
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, one in zip(("teacher", "student"), found, strict=True):
        print(f"{name}: {one}")
    checked = rules(*found, Cuts(*(x / 100 for x in given.cuts)) if given.cuts else None)
    print(page(checked))
    return 0 if all(rule.kept for rule in checked) else 1


if __name__ == "__main__":
    sys.exit(main())
