"""The keys that vary in a sweep, and the folder of a run that names their values."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser

SAID_ANYWAY = ("algo", "seed", "name", "experiment")
"""Keys that are not added to the name of a run's folder, since it holds them in any case or the run's name does."""
PARTS, MOST = 2, 4
"""Parts of a dotted key that a folder's name keeps, from the last; keys that it names."""
UNFIT = re.compile(r"[/\\\[\]{}()'\" ]")
"""Characters that keep a value out of a folder's name."""


def varied_keys(typed: Sequence[str], searched: Mapping[str, object]) -> list[str]:
    """Return the keys that vary in a sweep, at most MOST: those that a search draws, then those with several values.

    typed: the overrides of the command line; searched: the parameters of a search and their choices. Keys whose values
    do not fit into a folder's name are left out.
    """
    parsed = OverridesParser.create().parse_overrides(list(typed))
    found = {o.key_or_group: str(o.input_line).partition("=")[2] for o in parsed if o.is_sweep_override()}
    drawn = {key: "" for key in searched}
    kept = [key for key, text in {**drawn, **found}.items() if not UNFIT.search(_values(text))]
    return [key for key in kept if key not in SAID_ANYWAY][:MOST]


def _values(text: str) -> str:
    """Return the values from which a sweep chooses, without the function's name and brackets."""
    return re.sub(r"^\w+\((.*)\)$", r"\1", text.replace(", ", ","))


def subdir(keys: Sequence[str], groups: Collection[str]) -> str:
    """Return the name of a run's folder below its sweep's folder, as a pattern with interpolations for `keys`.

    groups: the groups of conf/; the value of a key among them is its chosen option.
    """
    values = [f"{'.'.join(key.split('.')[-PARTS:])}=${{{_source(key, groups)}}}" for key in keys]
    return "-".join(["${hydra.job.num}-${name}", *values, "seed${seed}"])


def _source(key: str, groups: Collection[str]) -> str:
    return f"hydra:runtime.choices.{key}" if key in groups else key
