"""The groups of a program's configuration, and what to type in place of a group that only another program has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from ral.errors import UserError

PROGRAMS = {
    "train": "train.py",
    "evaluate": "evaluate.py",
    "explore": "scripts/explore.py",
    "knockout": "scripts/knockout.py",
    "check": "scripts/check_dataset.py",
}
"""Name of a configuration -> the program that reads it."""
A_MODEL, DATA, DEVICE = "checkpoint=<folder or hub id>", "dataset=<name> dataset.path=<file or folder>", "device=<cuda>"
INSTEAD = {
    ("evaluate", "model"): A_MODEL,
    ("explore", "model"): A_MODEL,
    ("knockout", "model"): A_MODEL,
    ("evaluate", "hardware"): DEVICE,
    ("explore", "hardware"): DEVICE,
    ("knockout", "hardware"): DEVICE,
    ("explore", "benchmark"): DATA,
    ("knockout", "benchmark"): DATA,
    ("check", "benchmark"): DATA,
    ("train", "benchmark"): "dataset=<name> to train on; evaluate.py checkpoint=<the run>/hf benchmark=<name> scores",
}
"""(configuration, group of another program) -> what to write. Datasets for evaluate.py: `_of_own_data`."""
NO_PACKAGE = ": its yaml sets keys below experiment, not the run's own: write # @package _global_ as its first line"
"""Words about an experiment's yaml without that line."""
_NO_OPTION = re.compile(r"[-+]?[\d.]+|true|false", re.IGNORECASE)


def own_groups(config_dir: Path, config_name: str) -> list[str]:
    """Return the groups in the defaults list of a configuration, in its order."""
    defaults = yaml.safe_load((config_dir / f"{config_name}.yaml").read_text(encoding="utf-8")).get("defaults") or []
    named = [str(key).removeprefix("optional ") for entry in defaults if isinstance(entry, dict) for key in entry]
    return [name for name in named if not name.startswith(("override ", "hydra"))]


def of_another_program(key: str, config_dir: Path, config_name: str, typed: Sequence[str]) -> str | None:
    """Return the line for a group, or a key in one, that this program lacks and others have; None for any other key.

    config_name: the configuration of this program. typed: the overrides of the command line.
    """
    group = key.partition(".")[0]
    own = own_groups(config_dir, config_name)
    if not group or group in (*own, "hydra") or not (config_dir / group).is_dir():
        return None
    way = _of_own_data(typed) if (config_name, group) == ("evaluate", "dataset") else INSTEAD.get((config_name, group))
    program = PROGRAMS.get(config_name, config_name)
    said = f"{program} has no group {group}, its groups are {', '.join(own)}"
    return f"{said}: write {way}" if way else f"{said}; --help lists what it takes"


def _of_own_data(typed: Sequence[str]) -> str:
    """Return the settings of evaluate.py for data of one's own, with the dataset.path that was typed, if any."""
    paths = [value for key, _, value in (one.lstrip("+").partition("=") for one in typed) if key == "dataset.path"]
    return f"benchmark=jsonl benchmark.path={paths[-1] if paths else '<file>'}, or another of conf/benchmark"


def refuse_numbers(typed: Sequence[str], config_dir: Path) -> None:
    """Raise UserError where a group is given a number or a truth value in place of an option.

    typed: the overrides of the command line.
    """
    for override in typed:
        key, _, value = override.lstrip("+~").partition("=")
        if key and (config_dir / key).is_dir() and any(_NO_OPTION.fullmatch(part) for part in value.split(",")):
            known = ", ".join(sorted(path.stem for path in (config_dir / key).glob("*.yaml")))
            raise UserError(f"{key}={value}: conf/{key} has no '{value}'; known: {known}")
