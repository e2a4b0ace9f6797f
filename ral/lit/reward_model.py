"""Training of a reward model: the policy's step on given pairs of responses, with a score in place of log-probs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from ral.evaluation.held_out import about
from ral.learner.experience import Experience
from ral.lit.diagnostics import Diagnostics
from ral.lit.policy import Models, PolicyModule
from ral.models.mllm import MLLM
from ral.models.reward import add_head, response_scores, save_reward_model
from ral.ops.signals import Term
from ral.rewards.answers import extract_answer
from ral.types import PromptBatch


@dataclass(frozen=True)
class ScorePass:
    """The pass of an update: one score for each response, no log-probs and no attention."""

    offers: ClassVar[frozenset[str]] = frozenset({"scores", "mask", "weights"})

    def live(self, model: MLLM, experience: Experience, needs: frozenset[str]) -> dict[str, Any]:
        """The signals of the model being trained, with their graph."""
        rollout = experience.rollout
        scores = response_scores(model, experience.prepared, rollout.token_ids, rollout.valid)
        signals = {"scores": scores, "mask": rollout.trainable, "weights": experience.weights}
        return {**signals, "hidden": None, "attention": None}


class RewardModule(PolicyModule):
    """A PolicyModule whose policy has a scalar head; its objective is of scores (ral.ops.preferences).

    Measures no attention: what the diagnostics compare belongs to rollouts.
    """

    def __init__(self, models: Models, objective: Mapping[str, Term], **parts: Any) -> None:
        add_head(models.policy)
        super().__init__(models, objective, **{**parts, "diagnostics": Diagnostics(every=0)})

    @torch.no_grad()
    def evaluate(self, prompts: PromptBatch) -> list[dict[str, Any]]:
        """A record of each held-out pair (docs/outputs.md): both responses and scores, whether ranked right."""
        prepared = self.policy("prepare", prompts)
        rollout = self.source(prepared, seed=0)
        scores = response_scores(self.policy, prepared, rollout.token_ids, rollout.valid).view(-1, 2).tolist()
        return [
            {
                **about(example),
                "response": example.chosen,
                "answer": extract_answer(example.chosen or ""),
                "rejected": example.rejected,
                "reward": chosen,
                "rejected_reward": rejected,
                "accuracy": 0.5 if chosen == rejected else float(chosen > rejected),
            }
            for example, (chosen, rejected) in zip(prompts.examples, scores, strict=True)
        ]

    def export(self, state: dict[str, Tensor], run: Path) -> None:
        """hf/ with the head beside the backbone, and the held-out scores' mean and deviation of the last evaluation."""
        records = [json.loads(line) for line in (run / "eval" / "after.jsonl").read_text().splitlines()]
        scores = torch.tensor([r[key] for r in records for key in ("reward", "rejected_reward")], dtype=torch.float64)
        right = sum(r["accuracy"] for r in records) / len(records)
        facts = {"mean": float(scores.mean()), "std": float(scores.std(correction=0)), "step": self.rollout_step}
        save_reward_model(self.policy, state, run / "hf", {**facts, "pairs": len(records), "pair_accuracy": right})
