"""What a sweep leaves to say: which of its runs failed, whatever launcher started them and in whatever process."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

ERROR = "error.txt"
"""In the folder of a run of a sweep that failed: its error in one line."""
CUT_OFF = "it did not end: killed, or out of memory"
"""What stands in ERROR while a run runs."""
SWEEP = "multirun.yaml"
"""In the folder of a sweep: what Hydra was asked for."""
RANK_VARIABLES = ("RANK", "SLURM_PROCID", "LOCAL_RANK")


class Sweeps(Callback):
    """Hydra calls this in the process that launches. begun: folder of the sweep and when it was started."""

    begun: ClassVar[tuple[Path, float] | None] = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Mark the folder as a sweep's, as not every sweeper does."""
        folder = Path(config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(config, folder / SWEEP)
        Sweeps.begun = folder, time.time()


def in_sweep() -> bool:
    """Whether this process was given a run of a sweep by its launcher; ranks that the run starts itself were not."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def note(error: str | None) -> None:
    """Write into the folder of the present run of a sweep that it failed; None: that it ended well.

    Called with CUT_OFF first. Of several ranks the first error counts, and the first rank's good end.
    """
    if not in_sweep():
        return
    first = not any(int(os.environ.get(name, 0)) for name in RANK_VARIABLES)
    file = Path(HydraConfig.get().runtime.output_dir) / ERROR
    try:
        open_still = not file.exists() or file.read_text().strip() == CUT_OFF
        if error == CUT_OFF and first:
            file.write_text(CUT_OFF + "\n")
        elif error is None and first and open_still:
            file.unlink(missing_ok=True)
        elif error not in (None, CUT_OFF) and open_still:
            file.write_text(f"{error}\n")
    except OSError:
        return  # the error itself is printed; a folder that cannot be written is what it may be about


def worst() -> float | None:
    """What a failed run counts for in a search: less than any other, or more, where the least is sought."""
    if not in_sweep():
        return None
    return math.inf if HydraConfig.get().sweeper.get("direction") == "minimize" else -math.inf


def told() -> str | None:
    """One line on the runs that failed in the sweep that this process launched; None where all went well."""
    if Sweeps.begun is None:
        return None
    folder, since = Sweeps.begun
    runs = [file.parents[1] for file in folder.rglob(".hydra/overrides.yaml") if file.stat().st_mtime >= since - 1]
    failed = sorted(str(run.relative_to(folder)) for run in runs if (run / ERROR).is_file())
    if not failed:
        return None
    return f"{len(failed)} of {len(runs)} runs failed: {', '.join(failed)}; the folder of each has its {ERROR}"
