"""Train for long and watch the memory: does what a step leaves behind add up?

    python scripts/soak.py                          # 2,000 steps of the default run, about half an hour on one core
    python scripts/soak.py --steps 400 -- algo=grpo

The resident memory of the run is read as each step ends. The last line is a JSON object: medians over the first and
over the last quarter of the steps, and their ratio; exit code 1 above 1.05.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median

from ral.checks.soak import OWN, watch
from ral.errors import UserError
from ral.files.repository import OUTPUTS, ROOT, TRAIN
from ral.files.targets import check_own

ALLOWED = 1.05  # last quarter over first quarter


def main() -> None:
    """Run, watch, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000, help="of the run (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=OUTPUTS / "soak", help="folder, emptied first")
    parser.add_argument("overrides", nargs="*", help="of the run, after --")
    given = parser.parse_args()
    try:
        check_own(given.output, ["run", "run.log"])
    except UserError as error:
        sys.exit(f"error: {error}")
    shutil.rmtree(given.output, ignore_errors=True)
    given.output.mkdir(parents=True)
    run = [*OWN, f"max_steps={given.steps}", *given.overrides, f"hydra.run.dir={given.output / 'run'}"]
    with (given.output / "run.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, str(TRAIN), *run], cwd=ROOT, stdout=log, stderr=log)
        seen = watch(process, given.output / "run" / "metrics.jsonl", given.steps)
    if process.returncode:
        sys.exit(f"error: the run ended with exit code {process.returncode}: see {given.output / 'run.log'}")
    quarter = given.steps // 4
    first = median(mb for step, mb in seen.items() if step <= quarter)
    last = median(mb for step, mb in seen.items() if step > given.steps - quarter)
    (given.output / "memory.json").write_text(json.dumps(seen))
    ratio = last / first
    print(
        json.dumps({"steps": given.steps, "first_mb": round(first), "last_mb": round(last), "ratio": round(ratio, 4)})
    )
    sys.exit(ratio > ALLOWED)


if __name__ == "__main__":
    main()
