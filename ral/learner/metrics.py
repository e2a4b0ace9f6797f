"""Metrics as (total, count) pairs: summed over micro-batches, updates and ranks first, divided once at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ral.types import Metrics, Rollout, Scores

Gather = Callable[[Tensor], Tensor]
"""Function that returns the sum of a tensor over all ranks."""


class Meter:
    """Adder of (total, count) pairs by name. sums: {name: [total, count]} since the last call of `means`."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}

    def add(self, pairs: Mapping[str, tuple[object, object]]) -> None:
        """Add {name: (total, count)}; numbers or tensors of one element."""
        for name, (total, count) in pairs.items():
            pair = torch.tensor([float(total), float(count)], dtype=torch.float64)  # type: ignore[arg-type]
            self.sums[name] = self.sums.get(name, torch.zeros(2, dtype=torch.float64)) + pair

    def means(self, gather: Gather) -> dict[str, float]:
        """Return {name: mean over all ranks}, sorted by name, without names whose count is 0; empty the meter.

        gather: sums over ranks. Every rank must call it and hold the same names.
        """
        names = sorted(self.sums)
        if not names:
            return {}
        stacked = gather(torch.stack([self.sums[name] for name in names]))
        self.sums = {}
        return {n: float(t / c) for n, (t, c) in zip(names, stacked.tolist(), strict=True) if c > 0}


def detached(pairs: Mapping[str, tuple[Any, Any]]) -> Metrics:
    """Return the (total, count) pairs with tensors detached from the graph, which would otherwise stay in memory."""

    def plain(value: Any) -> Any:
        return value.detach() if isinstance(value, Tensor) else value

    return {name: (plain(total), plain(count)) for name, (total, count) in pairs.items()}


def no_reward(rollout: Rollout) -> Scores:
    """Return the reward 0 for every response, without parts: the reward of algorithms with given responses."""
    return Scores(torch.zeros(len(rollout.texts)), {})


def rollout_pairs(rollout: Rollout, scores: Scores) -> Metrics:
    """Return the metrics of a rollout: reward and its parts, response tokens, truncated share, groups of equal reward.

    The version of the weights that sampled is there as well, where it is known. Where the scores have no parts of a
    reward, only response tokens and version are returned.
    """
    count = len(rollout.texts)
    lengths: Metrics = {"response_length": (rollout.trainable.sum(), count)}
    if rollout.policy_version is not None:
        lengths["policy_version"] = (rollout.policy_version, 1)
    if not scores.parts:
        return lengths
    groups = scores.reward.view(-1, rollout.group_size)
    flat = (groups.amax(1) == groups.amin(1)).float()
    return {
        "reward": (scores.reward.sum(), count),
        **{name: (part.sum(), count) for name, part in scores.parts.items()},
        **lengths,
        "truncated": ((~rollout.finished).sum(), count),
        "groups_without_signal": (flat.sum(), flat.numel()),
    }
