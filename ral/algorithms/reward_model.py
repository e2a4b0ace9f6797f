"""Training of a reward model on given pairs of responses: a pass that returns scores, and the task of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from ral.data.recorded import about
from ral.files import jsonl
from ral.learner.experience import Experience
from ral.models.frozen import View
from ral.models.mllm import MLLM
from ral.models.reward import add_head, response_scores, save_reward_model
from ral.rewards.answers import extract_answer
from ral.rollout.given import Pairs
from ral.types import Example, PromptBatch, Rollout


@dataclass(frozen=True)
class ScorePass:
    """Forward passes of a reward model: they give one score for each response, no log-probs and no attention."""

    offers: ClassVar[frozenset[str]] = frozenset({"scores", "mask", "weights"})

    def live(self, model: MLLM, experience: Experience, needs: frozenset[str]) -> dict[str, Any]:
        """Return the signals of the model being trained, with their graph: scores [N], mask and weights [N C].

        needs is not used: all of them are returned.
        """
        rollout = experience.rollout
        scores = response_scores(model, experience.prepared, rollout.token_ids, rollout.valid, experience.shown)
        signals = {"scores": scores, "mask": rollout.trainable, "weights": experience.weights}
        return {**signals, "hidden": None, "attention": None}

    def frozen(self, view: View, rollout: Rollout, kinds: tuple[str, ...]) -> dict[str, Tensor]:
        """Return {}: no frozen signal is in `offers`."""
        return {}


class RewardModelTask:
    """Task of a reward model: a network with a scalar head, evaluated by how it ranks held-out pairs of responses."""

    def equip(self, policy: MLLM) -> None:
        """Add the scalar head to the network."""
        add_head(policy)

    @torch.no_grad()
    def evaluate(self, policy: MLLM, prompts: PromptBatch) -> list[dict[str, Any]]:
        """Return a record of each held-out pair (docs/outputs.md): both responses and scores, whether ranked right."""
        prepared = policy.prepare(prompts)
        rollout = Pairs(policy.processor)(prepared)
        scores = response_scores(policy, prepared, rollout.token_ids, rollout.valid)
        pairs = scores.view(-1, 2).tolist()
        return [record(example, *pair) for example, pair in zip(prompts.examples, pairs, strict=True)]

    def export(self, policy: MLLM, state: dict[str, Tensor], run: Path, step: int) -> None:
        """Write the model into the folder hf/ of the run's folder: the backbone, the head, and reward_model.json.

        reward_model.json has mean and standard deviation of the scores in the run's eval/after.jsonl, the number of its
        pairs and the accuracy on them, and the step. state: all weights of the network, whole. run: the run's folder.
        step: the last step.
        """
        records = jsonl.read(run / "eval" / "after.jsonl")
        save_reward_model(policy, state, run / "hf", {**summary(records), "step": step, **accuracy(records)})


def record(example: Example, chosen: float, rejected: float) -> dict[str, Any]:
    """Return the record of one pair from the scores of its two responses; accuracy: 1, 0, or 0.5 for equal scores."""
    return {
        **about(example),
        "response": example.chosen,
        "answer": extract_answer(example.chosen or ""),
        "rejected": example.rejected,
        "reward": chosen,
        "rejected_reward": rejected,
        "accuracy": 0.5 if chosen == rejected else float(chosen > rejected),
    }


def summary(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return mean and (population) standard deviation of the scores of all held-out responses.

    records: those of `record`, at least one.
    """
    scores = torch.tensor([r[key] for r in records for key in ("reward", "rejected_reward")], dtype=torch.float64)
    return {"mean": float(scores.mean()), "std": float(scores.std(correction=0))}


def accuracy(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the number of held-out pairs and their mean accuracy. records: those of `record`, at least one."""
    return {"pairs": len(records), "pair_accuracy": sum(r["accuracy"] for r in records) / len(records)}
