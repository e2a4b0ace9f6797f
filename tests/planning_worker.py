"""A run in a process of its own, for tests of plans: its resident memory with small networks, and at its most.

    python tests/planning_worker.py FOLDER SMALL_MODEL key=value ...

A step with a small model comes first, so that what libraries keep from their first use on is no memory of the plan.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

from conftest import train_in

from ral.benches.worker import reset_peak
from ral.lit.callbacks.memory import give_back


def status(name: str) -> float:
    """A line of /proc/self/status in GB: VmRSS, or VmHWM, its most so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name))) * 1024 / 1e9


if __name__ == "__main__":
    folder, small, *overrides = sys.argv[1:]
    least = (f"model.pretrained={small}", f"model.teacher={small}", "dataset.max_new_tokens=6", "max_steps=1")
    train_in(Path(folder, "small"), *overrides, *least)
    gc.collect()
    give_back()
    before = status("VmRSS")
    assert reset_peak()
    train_in(Path(folder, "run"), *overrides)
    print(json.dumps({"before": before, "peak": status("VmHWM")}))
