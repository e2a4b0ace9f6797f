"""Kill runs at random moments, resume them, and compare with the run that was never stopped.

    python scripts/chaos.py                             # 20 runs, each killed once (SIGKILL)
    python scripts/chaos.py --runs 5 -- algo=ral_distill max_steps=20

Every fourth run is killed while a checkpoint is being written. A run is right where metrics.jsonl without its times,
the exported weights and the evaluation's records are equal to those of the undisturbed run, byte for byte.
The last line is a JSON object; exit code 1 where a run differs.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import json
import random
import shutil
import sys
from pathlib import Path

from rich.progress import track

from ral.checks.chaos import disturbed, facts, finish
from ral.errors import UserError
from ral.files.repository import OUTPUTS
from ral.files.targets import check_own


def main() -> None:
    """Run them all and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20, help="runs to kill (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=OUTPUTS / "chaos", help="folder, emptied first")
    parser.add_argument("overrides", nargs="*", help="of the runs, after --")
    given = parser.parse_args()
    try:
        check_own(given.output, ["undisturbed"])
    except UserError as error:
        sys.exit(f"error: {error}")
    shutil.rmtree(given.output, ignore_errors=True)
    given.output.mkdir(parents=True)
    seconds = finish(given.output / "undisturbed", given.overrides)
    expected, rng, results = facts(given.output / "undisturbed"), random.Random(given.seed), []
    for number in track(range(given.runs), description="killing"):
        folder = given.output / f"{number:02}"
        found = disturbed(folder, given.overrides, seconds, rng, saving=number % 4 == 3)
        different = [name for name, value in facts(folder).items() if value != expected[name]]
        results.append(found | {"different": different})
        print(f"run {number}: {results[-1]}", flush=True)
    wrong = sum(bool(r["different"]) for r in results)
    summary = {key: sum(r[key] for r in results) for key in ("killed", "half_a_checkpoint")}
    print(json.dumps({"runs": given.runs, **summary, "different": wrong, "seconds_undisturbed": round(seconds, 1)}))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
