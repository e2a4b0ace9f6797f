"""The page that `--help` prints, and its list of the options of each group."""

from __future__ import annotations

from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from textwrap import shorten
from typing import Any

import hydra
from omegaconf import OmegaConf

SHARED = "shared"
"""Folder of the files that options of a group share."""
WIDTH = 88
"""Characters of what is said about an option."""


def options(folders: Iterable[Path]) -> dict[str, list[str]]:
    """Return {group: its options, sorted} of folders laid out like conf/.

    An option is a yaml file below its group's folder: conf/experiment/paper/ral.yaml is the option paper/ral of the
    group experiment. Left out are files that options share (conf/algo/shared) and the group hydra.
    """
    found: defaultdict[str, set[str]] = defaultdict(set)
    for folder in folders:
        for path in folder.glob("*/**/*.yaml"):
            group, *parts = path.relative_to(folder).with_suffix("").parts
            if SHARED not in parts:
                found[group].add("/".join(parts))
    return {group: sorted(found[group]) for group in sorted(found) if group != "hydra"}


def listing(_root_: Any) -> str:
    """Return the lines of --help on the groups of a configuration, `group: option, option` for each.

    _root_: the whole configuration, with its key `hydra`; OmegaConf passes it to a resolver of this name.
    """
    sources = _root_.hydra.runtime.config_sources
    folders = [Path(source.path) for source in sources if source.schema == "file"]
    own = _root_.hydra.runtime.choices
    return "\n".join(f"{group}: {', '.join(names)}" for group, names in options(folders).items() if group in own)


def described(group: str, _root_: Any) -> str:
    """Return the lines of --help on the options of a group: for each its name, and the comment in the first line of its
    yaml, cut to WIDTH characters.

    _root_: as in `listing`.
    """
    folders = [Path(source.path) for source in _root_.hydra.runtime.config_sources if source.schema == "file"]
    files = {path.stem: path for folder in folders for path in sorted((folder / group).glob("*.yaml"))}
    longest = max(map(len, files), default=0)
    first = {name: path.read_text(encoding="utf-8").partition("\n")[0] for name, path in sorted(files.items())}
    said = {name: line.removeprefix("# ") if line.startswith("# ") else "" for name, line in first.items()}
    return "\n".join(
        f"      {name:<{longest}}  {shorten(line, WIDTH, placeholder=' ...')}".rstrip() for name, line in said.items()
    )


def register() -> None:
    """Add `listing` and `described` to OmegaConf's resolvers, for `${options:}` and `${described:GROUP}` in yaml
    (conf/hydra/help).
    """
    OmegaConf.register_new_resolver("options", listing, replace=True)
    OmegaConf.register_new_resolver("described", described, replace=True)


def help_page(flags: Namespace, config_dir: Path, config_name: str, version_base: str) -> str | None:
    """Return the page of `--help`; None where `flags` lack --help, or hold another flag for which Hydra has to answer.

    The page is made here since Hydra would compose every option of every group for it, which takes seconds.
    """
    others = (flags.cfg, flags.info, flags.hydra_help, flags.config_path, flags.config_name, flags.config_dir)
    if not flags.help or any(others):
        return None
    with hydra.initialize_config_dir(str(config_dir), version_base=version_base):
        cfg = hydra.compose(config_name, flags.overrides, return_hydra_config=True)
    return str(cfg.hydra.help.template)
