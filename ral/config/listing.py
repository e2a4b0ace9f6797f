"""The list of options that `--help` prints: what can be chosen, not what the choices share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf


def options(folders: Iterable[Path]) -> dict[str, list[str]]:
    """Return {group: its options, sorted} of folders laid out like conf/.

    An option is a yaml directly in its group's folder; what options share lies deeper (conf/algo/shared).
    """
    found: defaultdict[str, set[str]] = defaultdict(set)
    for folder in folders:
        for path in folder.glob("*/*.yaml"):
            found[path.parent.name].add(path.stem)
    return {group: sorted(found[group]) for group in sorted(found) if group != "hydra"}


def listing(_root_: Any) -> str:
    """Return a line for each group of a configuration's search path: `group: option, option`."""
    sources = _root_.hydra.runtime.config_sources
    folders = [Path(source.path) for source in sources if source.schema == "file"]
    return "\n".join(f"{group}: {', '.join(names)}" for group, names in options(folders).items())


def register() -> None:
    """Let yaml say `${options:}` for the list (conf/hydra/help)."""
    OmegaConf.register_new_resolver("options", listing, replace=True)
