"""Hydra's own settings that would be ignored here, or would make relative paths mean something else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from ral.errors import UserError
from ral.files import run_folder

CHDIR = "hydra.job.chdir"
LEAVE_OUT = (
    "hydra.job.chdir=true would move the run into its own folder, and relative paths would start there: leave "
    "hydra.job.chdir out"
)
_TRUE = ("true", "yes", "on", "1")


def refuse_hydra_settings(typed: Sequence[str], multirun: bool) -> None:
    """Raise UserError for hydra.job.chdir=true, and for hydra.run.dir beside -m, which reads hydra.sweep.dir.

    typed: the overrides of the command line. multirun: whether -m was typed.
    """
    given = {key.lstrip("+"): value for key, _, value in (override.partition("=") for override in typed)}
    if given.get(CHDIR, "").strip("'\"").lower() in _TRUE:
        raise UserError(LEAVE_OUT)
    several = multirun or given.get("hydra.mode", "").upper() == "MULTIRUN"
    if several and "hydra.run.dir" in given:
        folder = given["hydra.run.dir"]
        raise UserError(f"hydra.run.dir={folder} is not read with -m: write hydra.sweep.dir={folder}")


def repeated(typed: Sequence[str]) -> Iterator[str]:
    """Yield a warning for each setting of the command line that another one of the same key, behind it, replaces.

    typed: the overrides of the command line, such as ["seed=1", "algo=grpo"].
    """
    last: dict[str, str] = {}
    for override in typed:
        key, equals, value = override.lstrip("+").partition("=")
        if not equals or override.startswith("~"):
            continue
        before = last.get(key)
        if before is not None and before.lstrip("+").partition("=")[2] != value:
            yield f"{before} is without effect, since {override} stands behind it: write one of the two"
        last[key] = override


def check_job() -> None:
    """Raise UserError where a yaml sets hydra.job.chdir; the folder that Hydra has made for the run then goes.

    Print a warning where a single run is given the folder of a sweep. Do nothing outside of a job of Hydra.
    """
    state: Any = HydraConfig.instance().cfg
    if state is None:
        return
    hydra = state.hydra
    single = hydra.mode != RunMode.MULTIRUN
    if hydra.job.chdir:
        os.chdir(hydra.runtime.cwd)
        if single and run_folder.first_rank():
            run_folder.leave(run_folder.claim(Path(hydra.runtime.output_dir)))
        raise UserError(LEAVE_OUT)
    unread = [override for override in hydra.overrides.hydra if override.startswith("hydra.sweep.dir=")]
    if single and unread and run_folder.first_rank():
        folder = unread[-1].partition("=")[2]
        print(f"warning: {unread[-1]} is not read without -m: write hydra.run.dir={folder}", file=sys.stderr)
