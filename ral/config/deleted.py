"""Advice on a deletion (`~logger`, `~eval`) that leaves a configuration without what it needs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from ral.config.groups import default_of, options_of, own_groups

FEWER = {"logger": "logger=jsonl writes to the run's folder alone, logger.wandb.mode=offline sends nothing"}
"""{group: what to write for as little of it as possible}"""


def of_a_deletion(message: str, typed: Sequence[str], config_dir: Path, config_name: str) -> str | None:
    """Return the line for a failed check whose cause is a typed `~KEY`; None for any other.

    message: the check's line: KEY, or a key above or below it, is not set, or an interpolation asks for one in it.
    typed: the overrides of the command line.
    """
    wrong = re.match(r"([\w.]+) is not set|.*Interpolation key '([\w.]+)' not found", message)
    missing = wrong[1] or wrong[2] if wrong else None
    if missing is None:
        return None
    for one in typed:
        key = re.split("[=@]", one)[0].removeprefix("~")
        if one.startswith("~") and f"{missing}.".startswith(f"{key}."):
            asks = "" if wrong and wrong[1] else f"{message.partition(': ')[0]} asks for {missing}; "
            return f"~{key} leaves the configuration without {key}: {asks}{_way(key, config_dir, config_name)}"
    return None


def _way(key: str, config_dir: Path, config_name: str) -> str:
    """Return what to type in place of `~KEY`: for a group its options, and its default."""
    if key not in own_groups(config_dir, config_name):
        tree = yaml.safe_load((config_dir / f"{config_name}.yaml").read_text(encoding="utf-8"))
        value = "" if isinstance(tree.get(key), dict) else f", or write {key}=<value>"
        return f"leave ~{key} out for its default{value}"
    fewer = f"; {FEWER[key]}" if key in FEWER else ""
    default = default_of(key, config_dir, config_name)
    return f"leave ~{key} out for {default}, or write {key}=<one of {', '.join(options_of(config_dir / key))}>{fewer}"
