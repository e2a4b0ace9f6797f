"""The networks of a run: the policy, and the frozen models whose signals an objective needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch

from ral.models.frozen import FrozenModel, View, read
from ral.models.mllm import MLLM
from ral.models.sharding import reshard
from ral.types import Prepared, PromptBatch, Rollout


@dataclass(frozen=True)
class Views:
    """A batch as the policy reads it, and as each frozen model reads it, by name."""

    policy: View
    frozen: Mapping[str, View]


@dataclass(frozen=True)
class Models:
    """The networks of a run; only the policy is trained.

    frozen: {name: network} of the frozen models that an objective needs (reference, teacher, ema). averaged: those
    among them that are moving averages of the policy. The old policy is no network: its signals come from the forward
    pass of the first update. same_vision: names of the frozen models whose visual embeddings are the policy's.
    """

    policy: MLLM
    frozen: Mapping[str, FrozenModel] = field(default_factory=dict)
    averaged: Mapping[str, MLLM] = field(default_factory=dict)
    same_vision: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        names = frozenset(name for name, model in self.frozen.items() if model.sees_like(self.policy))
        object.__setattr__(self, "same_vision", names)

    def with_weights(self) -> dict[str, MLLM]:
        """Return {name: frozen model} for the frozen models that have weights of their own on the device.

        Wrappers of the policy, and models whose weights are offloaded, are left out.
        """
        return {name: model for name, model in self.frozen.items() if isinstance(model, MLLM)}

    def changing(self) -> dict[str, MLLM]:
        """Return the networks whose weights change in a run, by name."""
        return {"policy": self.policy, **self.averaged}

    def views(
        self,
        names: Iterable[str],
        prompts: PromptBatch,
        prepared: Prepared,
        rollout: Rollout,
        second: PromptBatch | None = None,
    ) -> Views:
        """Return the batch as the policy reads it, and as each of the frozen models `names` reads it.

        names: in the same order on every rank. prepared: `prompts` as the policy reads them. second: the second view of
        the prompts; with it the policy itself becomes one more frozen model, "view". None where no term reads one.
        """
        own = View(self.policy, prepared, self.policy.show(prepared, rollout))
        asked = {name: self.frozen[name] for name in names if name in self.frozen}
        frozen = {
            name: replace(own, model=model) if name in self.same_vision else read(model, prompts, rollout)
            for name, model in asked.items()
        }
        if second is not None:
            frozen["view"] = View(self.policy, self.policy.prepare(second), own.shown)
        return Views(own, frozen)


@torch.no_grad()
def move_average(models: Models, decay: float) -> None:
    """Move the averaged models towards the policy: average <- decay * average + (1 - decay) * policy.

    decay: in [0, 1]. Weights that are not trained are left alone.
    """
    own = dict(models.policy.network.named_parameters())
    for average in models.averaged.values():
        reshard(average)
        for name, weight in average.network.named_parameters():
            if own[name].requires_grad:
                weight.lerp_(own[name].to(weight.dtype), 1 - decay)


def free_gathered(models: Models, needs: frozenset[str]) -> None:
    """Free the gathered weights of those sharded frozen models whose head no update reads.

    Called once the passes of frozen models are over. needs: names of the signals that updates need. Every rank frees
    its own; the next pass gathers the weights again.
    """
    for name, model in models.with_weights().items():
        if f"{name}_head" not in needs:
            reshard(model)
