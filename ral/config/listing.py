"""The page that `--help` prints, and its list of the options of each group."""

from __future__ import annotations

from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import hydra
from omegaconf import OmegaConf


def options(folders: Iterable[Path]) -> dict[str, list[str]]:
    """Return {group: its options, sorted} of folders laid out like conf/.

    An option is a yaml directly in its group's folder; files that options share lie deeper (conf/algo/shared).
    """
    found: defaultdict[str, set[str]] = defaultdict(set)
    for folder in folders:
        for path in folder.glob("*/*.yaml"):
            found[path.parent.name].add(path.stem)
    return {group: sorted(found[group]) for group in sorted(found) if group != "hydra"}


def listing(_root_: Any) -> str:
    """Return a line for each group of a configuration: `group: option, option`.

    _root_: the whole configuration, with its key `hydra`; OmegaConf passes it to a resolver of this name.
    """
    sources = _root_.hydra.runtime.config_sources
    folders = [Path(source.path) for source in sources if source.schema == "file"]
    own = _root_.hydra.runtime.choices
    return "\n".join(f"{group}: {', '.join(names)}" for group, names in options(folders).items() if group in own)


def register() -> None:
    """Add `listing` to OmegaConf's resolvers, so that `${options:}` in yaml is that list (conf/hydra/help)."""
    OmegaConf.register_new_resolver("options", listing, replace=True)


def help_page(flags: Namespace, config_dir: Path, config_name: str, version_base: str) -> str | None:
    """Return the page of `--help`; None where --help was not asked for, or other flags are Hydra's to answer.

    Made here since Hydra would compose every option of every group for it, which takes seconds.
    """
    others = (flags.cfg, flags.info, flags.hydra_help, flags.config_path, flags.config_name, flags.config_dir)
    if not flags.help or any(others):
        return None
    with hydra.initialize_config_dir(str(config_dir), version_base=version_base):
        cfg = hydra.compose(config_name, flags.overrides, return_hydra_config=True)
    return str(cfg.hydra.help.template)
