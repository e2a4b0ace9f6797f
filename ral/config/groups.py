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
NO_VALUE = ("", "null", "''", '""')
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


def refuse_no_options(typed: Sequence[str], config_dir: Path, config_name: str) -> None:
    """Raise UserError where a group is given null, nothing, a number, a truth value or a mapping in place of an option.

    typed: the overrides of the command line. config_name: the configuration of this program.
    """
    for override in typed:
        key, equals, value = override.lstrip("+").partition("=")
        group = key.lstrip("~").partition("@")[0]
        wrong = _no_option(value, bool(equals), deleted=key.startswith("~"))
        if not group or wrong is None:
            continue
        if (line := of_another_program(group, config_dir, config_name, typed)) is not None:
            raise UserError(line)
        if group.startswith("hydra/"):
            raise UserError(f"{key}={value}: the name of an option is missing; leave {key} out for Hydra's own")
        if (config_dir / group).is_dir():
            known, left = ", ".join(options_of(config_dir / group)), _left_out(group, config_dir, config_name)
            raise UserError(f"{key}={value}: conf/{group} has no '{wrong}'; known: {known}{left}")


def _no_option(value: str, equals: bool, deleted: bool) -> str | None:
    """Return the part of a typed value, of one option or several, that can be no option's name; None for none.

    equals: whether the value stands behind `=`. deleted: whether the override removes a group (`~group`).
    """
    text = value.strip()
    if not equals or (deleted and text.lower() in NO_VALUE):
        return None
    if text.startswith("{"):
        return text
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if text and not inner.strip():
        return text  # [], no option at all
    parts = [part.strip() for part in inner.split(",")]
    found = (part.strip("'\"") for part in parts if part.lower() in NO_VALUE or _NO_OPTION.fullmatch(part))
    return next(found, None)


def options_of(folder: Path) -> list[str]:
    """Return the options of a group; those in a folder of their own as FOLDER/NAME."""
    inner = [f"{path.parent.name}/{path.stem}" for path in folder.glob("*/*.yaml") if path.parent.name != "shared"]
    return sorted(path.stem for path in folder.glob("*.yaml")) + sorted(inner)


def _left_out(group: str, config_dir: Path, config_name: str) -> str:
    """Return the end of a message about a group: what leaving it out means; "" where the defaults do not say."""
    default = default_of(group, config_dir, config_name)
    return f"; leave {group} out for {default}" if default else ""


def default_of(group: str, config_dir: Path, config_name: str) -> str | None:
    """Return the default option of a group, "none" for null; None where the defaults of a configuration lack it."""
    tree = yaml.safe_load((config_dir / f"{config_name}.yaml").read_text(encoding="utf-8"))
    chosen = [one[group] for one in tree.get("defaults") or [] if isinstance(one, dict) and group in one]
    return chosen[0] or "none" if chosen else None


def no_such_option(key: str, deleted: bool) -> str:
    """Return the line for a group, or `GROUP=OPTION` of a deletion, that Hydra misses in the defaults list."""
    group = key.partition("=")[0]
    if deleted and key != group:
        return f"~{key}: {key} is not chosen, so it cannot be removed: leave ~{key} out"
    return f"group {key} is not part of this configuration; add it with +{key}=<option>"
