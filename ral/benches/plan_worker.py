"""One rank of a run that is compared with its plan: measures memory at load and in the steps.

    python -m ral.benches.plan_worker '{"folder": ..., "small": [...], "run": [...]}'

A small run comes first, so that memory which libraries keep after their first use is not counted. The figures go to
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
from typing import Any, ClassVar
from unittest.mock import patch

import torch.distributed as dist
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import open_dict

from ral.benches.worker import peak_gb, reset_peak
from ral.config.check import check
from ral.errors import UserError
from ral.files.repository import CONF
from ral.learner.clock import Clock
from ral.lit.callbacks.memory import give_back
from ral.lit.module import PolicyModule
from ral.run import train
from ral.starting import FOLDER_VARIABLE

STARTED = {name: os.environ[name] for name in ("WORLD_SIZE",) if name in os.environ}
"""Environment variables that make this process one of several ranks; Lightning removes them after a run."""


def trained(folder: Path, overrides: Sequence[str]) -> None:
    """Make one run of train.py in this process. folder: folder of the run. overrides: its settings."""
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


class Peaks(Clock):
    """Clock of a step that also notes the peak memory of each part of the step. most: {part: GB}."""

    most: ClassVar[dict[str, float]] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time the block as Clock does, and note its peak memory under `name`."""
        reset_peak()
        with super().__call__(name):
            yield
        self.most[name] = max(self.most.get(name, 0.0), peak_gb())


@contextmanager
def noted_at_load(found: dict[str, Any]) -> Iterator[None]:
    """Let a run inside the block time its steps with Peaks, and write its peak at load to found["load"].

    The peak at load, in GB, is that until training begins.
    """
    begin = PolicyModule.on_fit_start

    def noted(module: PolicyModule) -> None:
        begin(module)
        found["load"] = peak_gb()

    with patch.object(PolicyModule, "on_fit_start", noted), patch("ral.learner.step.Clock", Peaks):
        yield


def measured(folder: Path, run: Sequence[str], small: Sequence[str] | None) -> dict[str, Any]:
    """Return memory in GB: before (the process before the run), load (peak until training begins), peak and stages.

    stages: {part of a step: its peak}; peak: the largest of these. run: overrides of the run. small: overrides of a run
    that comes first; None on a GPU, where only tensors count. UserError where the kernel forbids to reset the peak.
    """
    found: dict[str, Any] = {"before": 0.0}
    if small is not None:
        trained(folder / "small", small)
        gc.collect()
        give_back()
        found["before"] = resident_gb()
    if not reset_peak():
        raise UserError("the peak of memory cannot be measured here: /proc/self/clear_refs cannot be written")
    with noted_at_load(found):
        trained(folder / "run", run)
    return found | {"peak": max(Peaks.most.values()), "stages": Peaks.most}


def resident_gb() -> float:
    """Return the resident memory of this process in GB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) * 1024 / 1e9


def main() -> None:
    """Measure as sys.argv[1] (JSON) asks, and write this rank's figures."""
    spec = json.loads(sys.argv[1])
    folder = Path(spec["folder"])
    found = measured(folder, spec["run"], spec.get("small"))
    (folder / f"rank_{os.environ.get('LOCAL_RANK', '0')}.json").write_text(json.dumps(found))
    if dist.is_initialized():  # threads of a group that is left open may abort the process at its end
        dist.barrier()
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
