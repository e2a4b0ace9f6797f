"""Hydra's flags that name a whole configuration or a folder of them, where they cannot mean what was typed."""

from __future__ import annotations

import difflib
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import yaml

from ral.config.groups import PROGRAMS, own_groups
from ral.errors import UserError

SHOWN = 6
"""Experiments of the user's own that a message lists."""


def refuse_config_flags(flags: Namespace, config_dir: Path, config_name: str) -> None:
    """Raise UserError for a --config-dir or --config-path that is no folder of configurations, and for a --config-name
    that is no configuration, or one of the user's that is not based on this program's.

    flags: as Hydra parses them. config_name: the configuration of this program, below config_dir.
    """
    own = _folder(flags.config_dir, "--config-dir")
    if flags.config_path is not None:
        whole = _folder(flags.config_path, "--config-path")
        named = flags.config_name or config_name
        if whole is None or not (whole / _yaml(named)).is_file():
            raise UserError(
                f"--config-path={flags.config_path} has no {_yaml(named)}: it takes the place of all of conf/; write "
                f"--config-dir={flags.config_path}, whose files are found beside those of conf/"
            )
        return
    if flags.config_name is None or flags.config_name in (config_name, _yaml(config_name)):
        return
    if own is not None and (file := own / _yaml(flags.config_name)).is_file():
        _check_defaults(file, config_name)
        return
    raise UserError(f"--config-name={flags.config_name}: {_meant(flags.config_name, own, config_dir, config_name)}")


def _folder(typed: str | None, flag: str) -> Path | None:
    """Return the folder that a flag names; None without the flag. UserError where there is no such folder."""
    if typed is None:
        return None
    folder = Path(typed).expanduser()
    if not folder.is_dir():
        reason = "is a file, not a folder" if folder.exists() else "no such folder"
        raise UserError(f"{flag}={typed}: {reason}; write {flag}=<a folder with experiment/NAME.yaml in it>")
    return folder


def _yaml(name: str) -> str:
    """Return the file of a configuration that may be typed with or without its suffix."""
    return name if name.endswith(".yaml") else f"{name}.yaml"


def _check_defaults(file: Path, config_name: str) -> None:
    """Raise UserError where a configuration of the user's own is not based on the program's."""
    try:
        read = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return  # Hydra names line and column
    defaults = read.get("defaults") if isinstance(read, dict) else None
    if config_name not in (defaults or []):
        raise UserError(
            f"{file} does not begin with those of this program: write 'defaults: [{config_name}, _self_]' as its first "
            f"line, or name it experiment/{file.name}, with # @package _global_ as its first line, and write "
            f"experiment={file.stem}"
        )


def _meant(typed: str, own: Path | None, config_dir: Path, config_name: str) -> str:
    """Return what a name of no configuration was likely to mean, and what to type."""
    name = typed.removesuffix(".yaml")
    there = f"--config-dir={own} " if own is not None else ""
    if name in PROGRAMS:
        return f"that is the configuration of {PROGRAMS[name]}: leave the flag out, or start that program"
    none = f"there is no such configuration, and this program's is {config_name}: leave the flag out"
    if "experiment" not in own_groups(config_dir, config_name):
        return f"{none}, and write settings as key=value"
    found = [*_experiments(config_dir), *(_experiments(own) if own is not None else ())]
    if name in found:
        return f"that is an experiment: write {there}experiment={name}"
    if (file := Path(typed).expanduser()).is_file() or (file := Path(_yaml(typed)).expanduser()).is_file():
        return (
            f"a file is not taken there: move it to FOLDER/experiment/{file.stem}.yaml, write # @package _global_ as "
            f"its first line, and --config-dir=FOLDER experiment={file.stem}"
        )
    close = difflib.get_close_matches(name, found, 1) or [f for f in found if f.rpartition("/")[2] == name][:1]
    meant = f"did you mean experiment={close[0]}? " if close else ""
    listed = f" ({', '.join(found[:SHOWN])}{', ...' if len(found) > SHOWN else ''})" if found else ""
    last = Path(name).name
    return (
        f"{meant}{none}; settings of your own go into FOLDER/experiment/{last}.yaml, and --config-dir=FOLDER "
        f"experiment={last}; experiments{listed} are chosen by experiment=NAME"
    )


def _experiments(folder: Path) -> Iterator[str]:
    """Yield the names of the experiments in a folder of configurations, without what they share."""
    for file in sorted((folder / "experiment").rglob("*.yaml")):
        name = file.relative_to(folder / "experiment").with_suffix("")
        if "shared" not in name.parts:
            yield str(name)
