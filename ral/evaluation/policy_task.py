"""The task of a policy: to respond to held-out prompts, and to be exported as a Hugging Face folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ral.evaluation.held_out import evaluate_prompts
from ral.learner.experience import Forward
from ral.models.mllm import MLLM
from ral.models.saving import save_network
from ral.rollout.engine import Engine, Sampling
from ral.types import PromptBatch, Rollout, Scores


@dataclass(frozen=True)
class PolicyTask:
    """Task of a policy that responds to prompts.

    engine, sampling: sample the responses. reward: scores them. passes: the forward pass that measures their attention.
    all_layers: whether records also hold the grounding of every decoder layer.
    """

    engine: Engine
    sampling: Sampling
    reward: Callable[[Rollout], Scores]
    passes: Forward
    all_layers: bool = False

    def equip(self, policy: MLLM) -> None:
        """Leave the network as it is; a policy needs no further parts."""

    def evaluate(self, policy: MLLM, prompts: PromptBatch) -> list[dict[str, Any]]:
        """Return a record for each prompt: response, rewards, measures of attention (docs/outputs.md)."""
        return evaluate_prompts(policy, prompts, self.engine, self.sampling, self.reward, self.passes, self.all_layers)

    def export(self, policy: MLLM, state: dict[str, Tensor], run: Path, step: int) -> None:
        """Write the policy to the folder hf/ of `run`. state: its weights, unsharded. step: not used."""
        save_network(policy.network, state, policy.processor, run / "hf")
