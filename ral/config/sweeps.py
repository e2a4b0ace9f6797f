"""Folders of runs and sweeps: their names, and the notes on failed runs, with any launcher and in any process."""

from __future__ import annotations

import contextlib
import math
import time
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from ral.config import search
from ral.config.varied import subdir, varied_keys
from ral.files import run_folder
from ral.files.run_folder import ERROR

CUT_OFF = "it did not end: killed, or out of memory"
"""Content of error.txt while a run is at work, so that it stays there if the process is killed."""
SEARCHED = "search.txt"
"""File in the folder of a search: its best run, and how noisy that is."""
SWEEP = "multirun.yaml"
"""File in the folder of a sweep: the configuration that Hydra got."""
REFUSED = "refused.txt"
"""File with the reason why a run of a sweep could not use a folder, which is another run's; in that folder."""


def is_alone(cfg: DictConfig) -> bool:
    """Tell whether a job asks for one process: that process is then the first rank, whatever its environment says."""
    devices, nodes = (OmegaConf.select(cfg, f"hardware.{name}") for name in ("devices", "num_nodes"))
    return devices == 1 and nodes in (1, None)


class Sweeps(Callback):
    """Hydra's callback around runs and sweeps.

    begun: folder of the present sweep and its start (Unix time); None outside of a sweep.
    """

    begun: ClassVar[tuple[Path, float] | None] = None

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note which folders exist before the run makes any, and give its folder a name that no other run has.

        The name is changed only where it comes from the time, not where the user wrote it, and not in other ranks than
        the first.
        """
        HydraConfig.instance().set_config(config)  # names in the folder may come from it; Hydra sets it next
        folder = Path(config.hydra.run.dir)
        run_folder.remember(folder)
        if not run_folder.first_rank() and not is_alone(config):
            return
        raw = str(OmegaConf.to_container(config.hydra.run, resolve=False)["dir"])  # type: ignore[index,call-overload]
        named = any(o.startswith("hydra.run.dir=") for o in config.hydra.overrides.hydra)
        if named or "${now:" not in raw:
            return
        with contextlib.suppress(OSError), read_write(config.hydra):  # Hydra meets the same error, and it is told
            config.hydra.run.dir = str(run_folder.fresh(folder))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Write multirun.yaml into the sweep's folder, which not every sweeper does, and set the pattern by which the
        folders of its runs are named.
        """
        folder = Path(config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(config, folder / SWEEP)
        Sweeps.begun = folder, time.time()
        name_runs(config)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print where W&B's offline runs are; after a search also its best run and its noise, which SEARCHED keeps."""
        if count := link_offline(Path(config.hydra.sweep.dir)):
            print(f"wandb: {count} runs of the sweep: wandb leet {config.hydra.sweep.dir}/wandb", flush=True)
        metric = (config.get("checkpoint") or {}).get("best")
        if "direction" not in config.hydra.sweeper or not metric:
            return
        folder = Path(config.hydra.sweep.dir)
        lines = search.told(search.trials(folder, metric), metric, config.hydra.sweeper.direction != "minimize")
        if lines:
            (folder / SEARCHED).write_text("".join(f"{line}\n" for line in lines))
            print("\n".join(lines), flush=True)


def link_offline(folder: Path) -> int:
    """Make links to the W&B folders of a sweep's runs in `<folder>/wandb`; return how many links there are.

    W&B's viewer in the terminal lists the runs of one folder. On a disk without links nothing is linked.
    """
    kept = sorted(path for path in folder.glob("*/wandb/*run-*") if path.is_dir() and not path.is_symlink())
    if not kept:
        return 0
    here = folder / "wandb"
    with contextlib.suppress(OSError):  # a disk without links: each run's own wandb/ is there all the same
        here.mkdir(exist_ok=True)
        for path in kept:
            link = here / path.name
            if not link.is_symlink():
                link.symlink_to(Path("..") / path.relative_to(folder), target_is_directory=True)
    return sum(link.is_symlink() and link.exists() for link in here.glob("*run-*"))


def name_runs(config: DictConfig) -> None:
    """Put the values that vary into the names of a sweep's run folders, unless the command line names the folders.

    config: the configuration with its key `hydra`, changed in place.
    """
    hydra = config.hydra
    if any(o.startswith(("hydra.sweep.subdir=", "hydra.sweep=")) for o in hydra.overrides.hydra):
        return
    keys = varied_keys(list(hydra.overrides.task), hydra.sweeper.get("params") or {})
    if "seed" in config and keys:
        with read_write(hydra), open_dict(hydra):
            hydra.overrides.hydra.append(f"hydra.sweep.subdir='{subdir(keys, set(hydra.runtime.choices))}'")


def in_sweep() -> bool:
    """Tell whether this process runs a job of a sweep. False in the ranks that such a job starts itself."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def keep_typed(cfg: DictConfig) -> None:
    """Write .hydra/ into the run's folder: the configuration, Hydra's own settings, and the overrides.

    Do nothing where Hydra has written it, or no job of Hydra is at work.
    """
    hydra: Any = HydraConfig.instance().cfg
    if hydra is None or hydra.hydra.output_subdir is not None:  # else Hydra has written it
        return
    folder = Path(hydra.hydra.runtime.output_dir) / ".hydra"
    folder.mkdir(exist_ok=True)
    OmegaConf.save(cfg, folder / "config.yaml")
    OmegaConf.save(hydra, folder / "hydra.yaml")
    OmegaConf.save(hydra.hydra.overrides.task, folder / "overrides.yaml")


def leave_nothing() -> None:
    """Remove the folder that Hydra has made for this job, and those above it made with it, where nothing lies in them.

    Do nothing outside of a job of Hydra.
    """
    state: Any = HydraConfig.instance().cfg
    if state is not None:
        run_folder.forgo(Path(state.hydra.runtime.output_dir))


def refused(error: str) -> None:
    """Write into another run's folder why this run of a sweep could not use it. Do nothing outside of a sweep."""
    if in_sweep() and run_folder.first_rank():
        with contextlib.suppress(OSError):  # the error itself is printed
            (Path(HydraConfig.get().runtime.output_dir) / REFUSED).write_text(f"{error}\n")


def note(error: str | None) -> None:
    """Write into the folder of this run of a sweep that it failed with `error`; remove the note where `error` is None.

    Called with CUT_OFF first. Of several ranks the first error stays; only the first rank removes the note. Do nothing
    outside of a sweep.
    """
    if not in_sweep():
        return
    first = run_folder.first_rank()
    file = Path(HydraConfig.get().runtime.output_dir) / ERROR
    try:
        if first:
            (file.parent / REFUSED).unlink(missing_ok=True)
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
    """Return the value of a failed run for the search: inf where less is better, else -inf. None outside of a sweep."""
    if not in_sweep():
        return None
    return math.inf if HydraConfig.get().sweeper.get("direction") == "minimize" else -math.inf


def failed_runs() -> str | None:
    """Return a line that names the failed runs of the sweep that this process started; None where no run failed, or
    it started no sweep.
    """
    if Sweeps.begun is None:
        return None
    folder, since = Sweeps.begun

    def recent(pattern: str, above: int) -> set[Path]:
        return {f.parents[above] for f in folder.rglob(pattern) if f.stat().st_mtime >= since - 1}

    shut_out, wrong = recent(REFUSED, 0), recent(ERROR, 0)
    runs = recent(".hydra/overrides.yaml", 1) | shut_out | wrong
    failed = sorted(str(run.relative_to(folder)) for run in runs if (run / ERROR).is_file() or run in shut_out)
    if not failed:
        return None
    where = REFUSED if not wrong else ERROR if not shut_out else f"{ERROR} or {REFUSED}"
    return f"{len(failed)} of {len(runs)} runs failed: {', '.join(failed)}; the folder of each has its {where}"
