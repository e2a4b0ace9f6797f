"""What a rollout becomes before the updates: advantages, global weights, and the frozen signals of an objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ral.models.mllm import MLLM, Prepared, States
from ral.ops.attention import AttentionSpec
from ral.ops.logprobs import token_log_probs
from ral.ops.signals import frozen_needs
from ral.types import Rollout


@dataclass(frozen=True)
class Experience:
    """A micro-batch for all updates on it: whole groups, padding trimmed to its own longest prompt and response.

    advantages [N]; weights [N C], shares of the whole batch over all ranks; signals: frozen tensors, [N C] or, for
    attention rows, [L N C K].
    """

    prepared: Prepared
    rollout: Rollout
    advantages: Tensor
    weights: Tensor
    signals: dict[str, Tensor]


@dataclass(frozen=True)
class Forward:
    """How signals are computed from a model: the sampling temperature and the attention that counts."""

    temperature: float
    spec: AttentionSpec

    def states(self, model: MLLM, prepared: Prepared, rollout: Rollout, attention: bool) -> States:
        """One pass of a model over a rollout."""
        spec = self.spec if attention else None
        return model("score", prepared, rollout.response_ids, rollout.response_mask, spec)

    def log_probs(self, model: MLLM, states: States, rollout: Rollout) -> tuple[Tensor, Tensor]:
        """log-probs and entropy [N C] of the sampled tokens."""
        banned = model.processor.banned.to(rollout.response_ids.device)
        ids, mask = rollout.response_ids, rollout.response_mask
        return token_log_probs(states.hidden, ids, mask, model.head, temperature=self.temperature, banned=banned)

    @torch.no_grad()
    def frozen(self, model: MLLM, prepared: Prepared, rollout: Rollout, kinds: tuple[str, ...]) -> dict[str, Tensor]:
        """The asked kinds of frozen signals of one model: log_probs, rows, hidden."""
        states = self.states(model, prepared, rollout, "rows" in kinds)
        make: Mapping[str, Callable[[], Tensor]] = {
            "log_probs": lambda: self.log_probs(model, states, rollout)[0],
            "rows": lambda: states.attention.rows(),  # type: ignore[union-attr]
            "hidden": lambda: states.hidden,
        }
        return {kind: make[kind]() for kind in kinds}

    def live(self, model: MLLM, experience: Experience, needs: frozenset[str]) -> dict[str, Any]:
        """The signals of the policy being trained, with their graph."""
        rollout = experience.rollout
        states = self.states(model, experience.prepared, rollout, "attention" in needs)
        log_probs, entropy = self.log_probs(model, states, rollout)
        return {
            "log_probs": log_probs,
            "entropy": entropy,
            "attention": states.attention,
            "hidden": states.hidden,
            "head": model.head,
            "banned": model.processor.banned.to(log_probs.device),
            "temperature": self.temperature,
            "advantages": experience.advantages,
            "mask": rollout.response_mask,
            "weights": experience.weights,
        }


def freeze(
    forward: Forward,
    models: Mapping[str, tuple[MLLM, Prepared]],
    rollout: Rollout,
    advantages: Tensor,
    weights: Tensor,
    needs: frozenset[str],
    prompts: int,
) -> list[Experience]:
    """Micro-batches of at most `prompts` prompts with the frozen signals that `needs` names ("old_log_probs", ...).

    models: {name: (network, its view of the prompts)}; "old" is the policy as it is now.
    """
    wanted = frozen_needs(needs)
    batches = []
    for start in range(0, len(rollout.prompts), prompts):
        stop = min(start + prompts, len(rollout.prompts))
        views = {name: (model, prepared.select(start, stop)) for name, (model, prepared) in models.items()}
        part = rollout.select(views["old"][1].prompts, start, stop)
        rows = slice(start * rollout.group_size, stop * rollout.group_size)
        signals = {
            f"{name}_{kind}": value
            for name, kinds in wanted.items()
            for kind, value in forward.frozen(*views[name], part, kinds).items()
        }
        own_weights = weights[rows, : part.response_ids.shape[1]]
        batches.append(Experience(views["old"][1], part, advantages[rows], own_weights, signals))
    return batches
