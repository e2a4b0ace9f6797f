"""Titles of runs, for lists of many runs such as W&B's: the settings that tell one from another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

LONGEST = 128
"""Most characters of a title: as many as W&B shows in a list."""
SAID_OTHERWISE = ("algo", "seed", "name", "experiment", "resume", "resume_changed", "overwrite", "logger")
"""Keys that a title leaves out: the run's name and seed say them, or they do not change what is trained."""
SWEEP = "multirun.yaml"
"""File in the folder of a sweep (ral.config.sweeps writes it): the configuration that Hydra got."""
PARTS = 2
"""Parts of a dotted key that a title keeps, from the last."""


def run_title(cfg: DictConfig) -> str:
    """Return the title of the present run: its name, the overrides that vary, its seed."""
    typed = list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []
    return title(str(cfg.name), varying(typed), int(cfg.seed))


def varying(typed: Sequence[str]) -> Sequence[str]:
    """Return the overrides of a sweep's run that differ between its runs; outside of a sweep, all of them.

    typed: the overrides of the run. The overrides that all runs share are read from the sweep's multirun.yaml.
    """
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return typed
    asked = Path(HydraConfig.get().sweep.dir) / SWEEP
    if not asked.is_file():
        return typed
    hydra: Any = OmegaConf.to_container(OmegaConf.load(asked), resolve=False)["hydra"]  # type: ignore[index,call-overload]
    searched = set(hydra["sweeper"].get("params") or ())
    same = {str(override) for override in hydra["overrides"]["task"]}
    return [o for o in typed if o not in same or o.partition("=")[0] in searched]


def title(name: str, typed: Sequence[str], seed: int) -> str:
    """Return a run's name, the overrides that change the training, and its seed. It has at most LONGEST characters.

    title("ral", ["algo=ral", "algo.attention.coef=2"], 0) is "ral attention.coef=2 seed=0".
    """
    said = (override.lstrip("+~").partition("=") for override in typed)
    kept = [f"{'.'.join(key.split('.')[-PARTS:])}={value}" for key, _, value in said if key not in SAID_OTHERWISE]
    middle, end = " ".join(kept), f"seed={seed}"
    name = shortened(name, LONGEST - len(end) - 1)
    middle = shortened(middle, LONGEST - len(name) - len(end) - PARTS)
    return " ".join(part for part in (name, middle, end) if part)


def shortened(text: str, most: int) -> str:
    """Return a text of at most `most` characters: a longer one ends in "…", and is "" where most is below 2."""
    if len(text) <= most:
        return text
    return f"{text[: most - 1]}…" if most > 1 else ""
