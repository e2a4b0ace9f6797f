"""One rank of a run whose plan is compared with it: memory at load and in the steps, beyond that of a small run.

    python -m ral.benches.plan_worker '{"folder": ..., "small": [...], "run": [...]}'

The small run comes first, so that what libraries keep from their first use on is no memory of the plan. Writes
<folder>/rank_<number>.json.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import open_dict

from ral.benches.worker import peak_gb, reset_peak
from ral.config.check import check
from ral.errors import UserError
from ral.files.repository import CONF
from ral.lit.callbacks.memory import give_back
from ral.lit.module import PolicyModule
from ral.run import train
from ral.starting import FOLDER_VARIABLE

STARTED = {name: os.environ[name] for name in ("WORLD_SIZE",) if name in os.environ}
"""Variables by which this process is one of several, which Lightning removes after a run."""


def trained(folder: Path, overrides: Sequence[str]) -> None:
    """Make one run of train.py in this process, in `folder`."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [*overrides, "logger=jsonl"], return_hydra_config=True)
    with open_dict(cfg):
        cfg.hydra.runtime.output_dir = str(folder)
    HydraConfig.instance().set_config(cfg)
    os.environ.update(STARTED | {FOLDER_VARIABLE: str(folder)})  # the folder is read by ranks other than the first
    try:
        with open_dict(cfg):
            del cfg["hydra"]
        check(cfg)
        train(cfg)
    finally:
        HydraConfig.instance().cfg = None


@contextmanager
def noted_at_load(found: dict[str, Any]) -> Iterator[None]:
    """Write the peak of memory until training begins to found["load"] inside the block; the peak then starts anew."""
    begin = PolicyModule.on_fit_start

    def noted(module: PolicyModule) -> None:
        begin(module)
        found["load"] = peak_gb()
        reset_peak()

    with patch.object(PolicyModule, "on_fit_start", noted):
        yield


def measured(folder: Path, small: Sequence[str], run: Sequence[str]) -> dict[str, Any]:
    """Return resident memory in GB: after the small run, at its most at load, at its most in the steps of the run.

    UserError where the kernel does not permit to start the peak anew.
    """
    trained(folder / "small", small)
    gc.collect()
    give_back()
    if not reset_peak():
        raise UserError("the peak of memory cannot be measured here: /proc/self/clear_refs cannot be written")
    found: dict[str, Any] = {"before": resident_gb()}
    with noted_at_load(found):
        trained(folder / "run", run)
    return found | {"peak": peak_gb()}


def resident_gb() -> float:
    """Return the resident memory of this process in GB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) * 1024 / 1e9


def main() -> None:
    """Measure as sys.argv[1] asks, in JSON; without "small" the run alone, for its seconds."""
    spec = json.loads(sys.argv[1])
    folder = Path(spec["folder"])
    if "small" in spec:
        found = measured(folder, spec["small"], spec["run"])
    else:
        trained(folder / "run", spec["run"])
        found = {}
    (folder / f"rank_{os.environ.get('LOCAL_RANK', '0')}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
