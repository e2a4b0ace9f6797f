"""A configuration composed from settings in Python, and run as Hydra would run it, without a command line."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from ral.config import listing, sweeps
from ral.config.cli import CONF, INTERRUPTED, Claiming, give_back, message_of
from ral.config.deleted import of_a_deletion
from ral.config.explain import VERSION_BASE, better, explain
from ral.errors import UserError, warn_in_plain_lines

Task = Literal["train", "evaluate", "knockout"]
"""The program that a configuration is for: train.py, evaluate.py or scripts/knockout.py."""
PROGRAMS: dict[Task, str] = {"train": "train.py", "evaluate": "evaluate.py", "knockout": "scripts/knockout.py"}
Found = TypeVar("Found")


@dataclass(frozen=True)
class Composed:
    """A configuration, as the command line would compose it from the same settings.

    task: the program that it is for. settings: the tree that `--cfg job` prints; a value may be changed
    (`config.settings.max_steps = 5`) before it is run. hydra: Hydra's own settings: the choices of groups, the
    overrides, the place of the run's folder.
    """

    task: Task
    settings: DictConfig
    hydra: DictConfig = field(repr=False)

    def __str__(self) -> str:
        """Return the settings as yaml, with interpolations resolved."""
        with started(self):
            return OmegaConf.to_yaml(self.settings, resolve=True)


@contextmanager
def _no_other_hydra() -> Iterator[None]:
    """Set aside, inside the block, the Hydra that the caller has initialised, and restore it afterwards."""
    theirs = GlobalHydra.instance().hydra
    GlobalHydra.instance().hydra = None
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = theirs


def compose(settings: Sequence[str], task: Task) -> Composed:
    """Compose the configuration of a program. UserError: one line on the setting that does not fit.

    settings: `key=value` as on the command line.
    """
    listing.register()
    try:
        with _no_other_hydra(), hydra.initialize_config_dir(str(CONF), version_base=VERSION_BASE):
            cfg = hydra.compose(task, list(settings), return_hydra_config=True)
    except Exception as error:
        with _no_other_hydra():
            line = explain(error, CONF, task, message_of, settings)
        raise UserError(line) from error
    own = copy.deepcopy(cfg.hydra)
    with open_dict(cfg):
        del cfg["hydra"]
    return Composed(task, cfg, own)


@contextmanager
def _set(whole: Any) -> Iterator[None]:
    """Set the configuration of `HydraConfig` inside the block to `whole`, and restore the former one afterwards.

    whole: a configuration with its key `hydra`; None for no configuration.
    """
    before = HydraConfig.instance().cfg
    HydraConfig.instance().cfg = whole
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before


@contextmanager
def started(config: Composed, makes_folder: bool = False) -> Iterator[DictConfig]:
    """Yield the settings of a configuration with Hydra's own values set, as inside a program that Hydra has started.

    makes_folder: True to make the run's folder now; a folder named after the time alone gets a name that is not taken.
    """
    whole = copy.deepcopy(config.settings)
    with open_dict(whole):
        whole.hydra = copy.deepcopy(config.hydra)
    with _set(None):
        HydraConfig.instance().set_config(whole)
        if makes_folder:
            sweeps.Sweeps().on_run_start(whole)
        with read_write(whole.hydra), open_dict(whole.hydra):
            whole.hydra.runtime.output_dir = os.path.abspath(str(whole.hydra.run.dir))
            whole.hydra.runtime.cwd = os.getcwd()
        HydraConfig.instance().set_config(whole)
        with open_dict(whole):
            del whole["hydra"]
        yield whole


def run(
    config: Composed,
    main: Callable[[DictConfig], Found],
    check: Callable[[DictConfig], object],
    claim: Claiming,
) -> tuple[Found, Path]:
    """Check a configuration and call `main` with it while its folder is locked; return main's result and the folder.

    check: function that raises UserError for settings that do not fit. claim: function that locks the folder. UserError
    (one line) for a problem that other settings can fix. KeyboardInterrupt where Ctrl-C, or a notebook's interrupt,
    ended `main`, once all is saved; SystemExit with 128 + signal where a scheduler's signal ended it.
    """
    warn_in_plain_lines()
    typed = list(config.hydra.overrides.task)
    with started(config, makes_folder=True) as cfg:
        try:
            claimed, said = claim(cfg), ""
        except UserError:
            sweeps.leave_nothing()
            raise
        try:
            if not claimed.found:
                sweeps.keep_typed(cfg)
            check(cfg)
            return main(cfg), claimed.folder
        except UserError as error:
            plain = message_of(error)
            said = of_a_deletion(plain, typed, CONF, config.task) or better(plain, cfg, CONF, config.task, typed)
            raise UserError(said) from error
        except SystemExit as left:
            if left.code == INTERRUPTED:
                raise KeyboardInterrupt from left
            raise
        finally:
            give_back(claimed, cfg, said)
