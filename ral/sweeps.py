"""What a sweep leaves to say: which of its runs failed, whatever launcher started them and in whatever process."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

ERROR = "error.txt"
"""In the folder of a run that failed: its error in one line."""
SWEEP = "multirun.yaml"
"""In the folder of a sweep: what Hydra was asked for."""


class Sweeps(Callback):
    """Hydra calls these in the process that launches. failed: {run's folder: its error}; count: runs of the sweep."""

    failed: ClassVar[dict[str, str]] = {}
    count = 0

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Mark the folder as a sweep's, as not every sweeper does; forget the errors of an earlier sweep in it."""
        folder = Path(config.hydra.sweep.dir)
        for file in folder.glob(f"*/{ERROR}"):
            file.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(config, folder / SWEEP)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Read the errors of the runs."""
        folder = Path(config.hydra.sweep.dir)
        found = {file.parent.name: file.read_text().strip() for file in sorted(folder.glob(f"*/{ERROR}"))}
        Sweeps.failed = found
        Sweeps.count = len(list(folder.glob("*/.hydra")))


def note(error: str | None) -> None:
    """Write the error of the present run into its folder; None: it has none, remove an earlier one."""
    if not HydraConfig.initialized():
        return
    file = Path(HydraConfig.get().runtime.output_dir) / ERROR
    try:
        if error is None:
            file.unlink(missing_ok=True)
        elif file.parent.is_dir():
            file.write_text(error + "\n")
    except OSError:
        return  # the error itself is printed; a folder that cannot be written is what it may be about


def told() -> str | None:
    """One line on the runs that failed in the sweep that ended; None where all went well."""
    if not Sweeps.failed:
        return None
    names = ", ".join(Sweeps.failed)
    return f"{len(Sweeps.failed)} of {Sweeps.count} runs failed: {names}; the folder of each has its {ERROR}"
