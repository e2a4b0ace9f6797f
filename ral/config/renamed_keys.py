"""Keys of an earlier version: their old names, and the present ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ral.config.signature import walk
from ral.errors import UserError

MOVED = {
    "algo.sampler.group_size": "algo.group_size",
    "algo.sampler.temperature": "algo.temperature",
    "algo.sampler.max_new_tokens": "dataset.max_new_tokens",
    "algo.sampler._target_": "rollout.engine._target_",
    "algo.sampler": "algo.sampling",
    "algo.temporal.sampler.group_size": "algo.temporal.group_size",
    "algo.temporal.sampler": "algo.temporal.sampling",
    "algo.module": "algo.task",
    **{
        f"reward.parts.judge.function.{name}": f"reward.parts.judge.function.requests.{name}"
        for name in ("timeout_s", "retries", "backoff_s", "max_concurrency")
    },
}
"""Old key: new key, the longer ones first; keys below a key move with it."""


def today(key: str) -> str | None:
    """Return the present name of a dotted key of an earlier version; None for any other key."""
    for old, new in MOVED.items():
        if key == old or key.startswith(f"{old}."):
            return new + key.removeprefix(old)
    return None


def moved(key: str) -> str | None:
    """Return the line that says how a dotted key of an earlier version is written now; None for any other key."""
    if (found := today(key)) is None:
        return None
    who = "; who samples is chosen by rollout=NAME" if found.startswith("algo.sampling") else ""
    return f"{key} has moved: write {found}{who} (CHANGELOG.md)"


def check_moved(tree: Mapping[str, Any]) -> None:
    """Raise UserError for the first key of an earlier version in `tree`, a resolved configuration."""
    for key, _ in walk(tree):
        if (line := moved(key)) is not None:
            raise UserError(line)
