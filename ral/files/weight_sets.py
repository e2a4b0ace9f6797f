"""Refuses two sets of weights in one folder: one file of all weights and, beside it, shards, of which one is stale."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ral.errors import UserError


def refuse_two_sets(path: Path, whole: str, index: str, shards: Mapping[str, object] | None, named: str) -> None:
    """Raise UserError where shards stand beside `whole`, a file of all weights: nothing says which are meant.

    path: the folder. named: the setting with its value, with which the message begins. index: name of the file that
    lists shards. shards: its weight_map, {tensor: file}; None where there is no such file.
    """
    if shards is not None:
        parts = sorted(set(map(str, shards.values())) - {whole})
        beside = f"{index} names {parts[0]} and {len(parts)} files in all" if parts else ""
    else:
        pattern = rf"{re.escape(Path(whole).stem)}-\d+-of-\d+\..*"
        parts = sorted(p.name for p in path.iterdir() if re.fullmatch(pattern, p.name))
        beside = f"{parts[0]} stands beside it" if parts else ""
    if parts:
        others = "the shards" if shards is None else f"{index} and the shards"
        raise UserError(
            f"{named}: {whole} is there, and {beside}: two sets of weights, of which one is stale; remove {whole}, or "
            f"{others}"
        )
