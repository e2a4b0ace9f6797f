"""The paper's recipes at their true size, on tensors without memory: each composes, shards, and steps through.

    python scripts/check_recipes.py        # every conf/experiment/paper/*.yaml; a quarter of an hour on one core
    python scripts/check_recipes.py ral 7b_80gb --overrides dataset.max_new_tokens=1024
    python scripts/check_recipes.py ral --overrides model.pretrained=Qwen/Qwen2.5-VL-32B-Instruct

No weights, no data and no GPU are needed. The table shows planned / stepped-through memory of tensors by stage of a
step, in GB on a rank (the rollout's with two tokens of each response); the last line is a JSON object. Exit code 1
where a recipe stops, or does not fit the device that it names.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import json
import sys
from typing import Any

from ral.checks.recipes import checked, facts, markdown
from ral.errors import UserError
from ral.files.repository import CONF

RECIPES = sorted(path.stem for path in (CONF / "experiment" / "paper").glob("*.yaml"))


def main() -> None:
    """Check the named recipes; one line and exit code 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help=f"of {', '.join(RECIPES)} (default: all)")
    parser.add_argument("--overrides", nargs="*", default=[], help="further overrides of train.py, for each of them")
    given = parser.parse_args()
    if unknown := [name for name in given.recipes if name not in RECIPES]:
        sys.exit(f"error: {unknown[0]} is no recipe: write some of {', '.join(RECIPES)}")
    found: dict[str, Any] = {}
    try:
        for name in given.recipes or RECIPES:
            found[name] = facts(checked([f"experiment=paper/{name}", *given.overrides]))
            print(f"{name}: {json.dumps(found[name])}", file=sys.stderr, flush=True)
    except UserError as error:
        sys.exit(f"error: {error}")
    print(markdown(found))
    print(json.dumps(found))
    if failed := [name for name, each in found.items() if each["stopped"] or not each["fits"]]:
        sys.exit(f"error: stopped, or does not fit: {', '.join(failed)}")


if __name__ == "__main__":
    main()
