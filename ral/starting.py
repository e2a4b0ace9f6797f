"""The start of a run: its folder, checks of the machine, and the checkpoint from which it resumes."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from transformers.utils.logging import disable_progress_bar

from ral.config.check import first_line, plain
from ral.config.claims import claim_run
from ral.config.contents import check_contents, contents
from ral.config.former import of_today
from ral.config.resuming import allowed_names, check_same_experiment, later_schedule, leaves
from ral.files import run_folder as folders
from ral.files.contents import Content
from ral.files.own_folder import unusable
from ral.learner.checkpoints import CONFIG, CONTENTS, FILE, newest, read, verified
from ral.machine import (
    check_devices,
    check_four_bit,
    check_fused,
    check_started,
    srun_tasks,
)
from ral.planning.fitting import fitted_here
from ral.report.environment import write_environment
from ral.types import UserError

FOLDER_VARIABLE = "RAL_RUN_FOLDER"
"""Environment variable by which the first rank passes the run's folder to the ranks that it starts."""


def run_folder() -> Path:
    """Return the run's folder, the same for every rank. UserError where it cannot be written.

    Ranks that Lightning starts get the folder from the first rank (FOLDER_VARIABLE). Ranks of torchrun and srun start
    by themselves: UserError unless hydra.run.dir names the folder.
    """
    rank = int(os.environ.get("LOCAL_RANK", 0))
    given = os.environ.get(FOLDER_VARIABLE) if rank else None
    hydra = HydraConfig.get()  # of a sweep the launcher named the folder
    named = hydra.mode == RunMode.MULTIRUN or any(key.startswith("hydra.run.dir=") for key in hydra.overrides.hydra)
    if given is None and started_apart() and not named:
        raise UserError("several processes need one folder: write hydra.run.dir=outputs/my_run on every node")
    folder = Path(given or hydra.runtime.output_dir).absolute()
    os.environ[FOLDER_VARIABLE] = str(folder)
    folders.remember(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable_{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(unusable(folder, "hydra.run.dir", error)) from error
    return folder


def started_apart() -> bool:
    """Tell whether torchrun or srun started this process as one of several."""
    env = os.environ
    by_torchrun = "TORCHELASTIC_RUN_ID" in env and int(env.get("WORLD_SIZE", 1)) > 1
    return by_torchrun or srun_tasks(env) > 1


@contextmanager
def owned(cfg: DictConfig, folder: Path) -> Iterator[None]:
    """Hold the lock of the run's folder inside the block, unless this process has it already or is a later rank.

    A folder in which no run began is left as it was before. UserError where another process works in the folder; where
    it cannot be written, or is one that no run may have, such as the home folder; and where it holds a run that this
    one, of configuration `cfg`, neither resumes nor may remove.
    """
    if not folders.first_rank() or folders.held(folder):
        yield
        return
    claimed = claim_run(cfg, folder)
    try:
        yield
    finally:
        folders.leave(claimed)


def resolved(cfg: DictConfig) -> str:
    """Return a configuration as yaml, its interpolations resolved."""
    return OmegaConf.to_yaml(OmegaConf.create(OmegaConf.to_container(cfg, resolve=True)))


def write_facts(cfg: DictConfig, folder: Path) -> None:
    """Write config.yaml and environment.json into the run's folder."""
    (folder / "config.yaml").write_text(resolved(cfg), encoding="utf-8")
    write_environment(folder)


def check_machine(cfg: DictConfig) -> None:
    """Raise UserError where this process cannot run `hardware` and `lora` of `cfg`; see ral.machine.

    Cases: torchrun or srun started another number of processes than asked for; variables left over from a launcher;
    several nodes that no launcher numbers; too few GPUs; hardware.fused_log_probs or lora.base=nf4 without the GPU or
    the package that it needs. In a SLURM job, the variables that Lightning reads are set in os.environ.
    """
    hardware = cfg.hardware
    check_started(os.environ, hardware.devices, hardware.num_nodes, folders.RANK_VARIABLES)
    check_devices(hardware.accelerator, hardware.devices, hardware.num_nodes, torch.cuda.device_count())
    capability = torch.cuda.get_device_capability() if torch.cuda.is_available() else None
    check_fused(bool(hardware.get("fused_log_probs")), hardware.accelerator, capability)
    check_four_bit(cfg.lora.get("base", "dtype"), hardware.accelerator, torch.cuda.device_count())


def choose_pass_size(cfg: DictConfig) -> None:
    """Replace `auto` in hardware.micro_batch_* by the largest sizes that the machine has memory for, and print them."""
    chosen = fitted_here(plain(cfg), torch.cuda)
    if chosen is None:
        return
    for key, value in chosen.sizes.items():
        OmegaConf.update(cfg, key, value)
    if folders.first_rank():
        print(chosen, file=sys.stderr, flush=True)


def find_checkpoint(resume: str | None, folder: Path) -> Path | None:
    """Return the checkpoint folder that `resume` names; None where the run begins at step 0.

    resume: None, a checkpoint's folder, or "auto" for the newest checkpoint in the run's `folder`, if there is one.
    UserError for a folder that is no checkpoint or is damaged, and for auto in a search (Optuna), whose runs draw other
    values each time.
    """
    if resume is None:
        return None
    if resume != "auto":
        return verified(Path(resume))
    if "optuna" in str(HydraConfig.get().sweeper):
        raise UserError("resume=auto: a search draws other values for its runs next time; name a checkpoint folder")
    found = newest(folder / "checkpoints")
    if found is None and folders.first_rank():
        print(f"resume=auto: no checkpoint in {folder}, so the run begins at step 0", file=sys.stderr)
    return found


def check_unresumed(cfg: DictConfig) -> None:
    """Raise UserError where resume_changed names an unknown key; warn where nothing is resumed, so it has no effect."""
    if allowed_names(cfg.resume_changed, leaves(plain(cfg))) and cfg.resume is None and folders.first_rank():
        print("warning: resume_changed has no effect: nothing is resumed; write resume=auto to go on", file=sys.stderr)


def check_resumed(cfg: DictConfig, checkpoint: Path) -> None:
    """Raise UserError where settings (ral.config.resuming) or contents (ral.config.contents) are not the resumed run's.

    The resumed run is the one that wrote `checkpoint`; settings and contents that resume_changed names may differ. Data
    made locally are not compared: they may have to be made first. UserError also where the run's configuration or a
    file cannot be read. Print a line where the settings or contents of the resumed run are unknown, where another
    max_steps changes the learning rate, and where no step is left to make.
    """
    tell = partial(print, file=sys.stderr) if folders.first_rank() else lambda line: None
    kept = config_of(checkpoint)
    if kept is None:
        missing = checkpoint.absolute().parents[1] / "config.yaml"
        tell(f"warning: resume={cfg.resume}: no {missing}, so whether its settings were the same is not checked")
        return
    raw: Any = OmegaConf.to_container(cfg, resolve=False)
    old, new = of_today(kept), plain(cfg)
    if (new.get("lora") or {}).get("resume") is not None:  # rank, alpha and targets are those of the adapters
        new["lora"] = {**old.get("lora", {}), "resume": new["lora"]["resume"]}
    check_same_experiment(old, new, raw, new.get("resume_changed", ()), str(cfg.resume))
    found = {key: content for key, content in contents(new).items() if not content.made}
    if not check_given(cfg, checkpoint, found) and found:
        older = "holds no hashes of the data and models, being of an earlier version"
        tell(f"warning: resume={cfg.resume}: {checkpoint} {older}: whether their content changed is not checked")
    step, rate = int(read(checkpoint)["step"]), instantiate(cfg.optim.schedule)
    before = old.get("max_steps")
    if isinstance(before, int) and before != cfg.max_steps:
        shares = (rate(step, max_steps=n) for n in (before, cfg.max_steps))
        for line in later_schedule(before, cfg.max_steps, *shares):
            tell(line)
    if step >= cfg.max_steps:
        tell(f"max_steps={cfg.max_steps} is reached: {checkpoint} is of step {step}, so there is nothing to train")


def check_given(cfg: DictConfig, checkpoint: Path, found: Mapping[str, Content]) -> bool:
    """Raise UserError where the data and models `found` are not of the content that the checkpoint's run began with.

    Return whether the checkpoint says what that was.
    """
    kept = read(checkpoint).get(CONTENTS)
    if kept is not None:
        check_contents(kept, found, plain(cfg).get("resume_changed", ()), str(cfg.resume))
    return kept is not None


def config_of(checkpoint: Path) -> dict[str, Any] | None:
    """Return the configuration that a checkpoint was made with; None where nothing holds it.

    A checkpoint holds its own; for one of an earlier version, config.yaml of its run counts. UserError where that
    cannot be read.
    """
    own = read(checkpoint).get(CONFIG)
    if own is not None:
        return parsed(checkpoint / FILE, lambda: str(own))
    file = checkpoint.absolute().parents[1] / "config.yaml"
    return parsed(file, lambda: file.read_text(encoding="utf-8")) if file.is_file() else None


def parsed(file: Path, text: Callable[[], str]) -> dict[str, Any]:
    """Return the mapping in a yaml text. UserError, which names `file`, where it cannot be read or is no mapping.

    text: function that reads and returns the text.
    """
    try:
        found = yaml.safe_load(text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{file}: cannot be read ({first_line(error)}): the run cannot be gone on with") from error
    if not isinstance(found, dict):
        raise UserError(f"{file}: no configuration of a run: the run cannot be gone on with")
    return found


def quiet_libraries() -> None:
    """Silence messages of Lightning and Transformers below errors, and progress bars of loading."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    disable_progress_bar()  # of loading and writing weights
