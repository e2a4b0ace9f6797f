"""Companion of a step for T-GRPO: responses to videos with shuffled frames, and bonuses in the rollout's rewards."""

from __future__ import annotations

import torch

from ral.algorithms.bonuses import LengthBonus, OrderBonus
from ral.algorithms.frame_shuffle import shuffled_clips, with_clip
from ral.models.mllm import MLLM
from ral.rewards.combine import Part, Reward
from ral.rollout.engine import Engine, Sampling
from ral.rollout.seeds import hash_seed
from ral.types import Metrics, PromptBatch, Rollout, Scores, UserError

RESPONSES = 1
"""Number in the seed of responses to shuffled videos; rollout and frame order have other seeds."""


class Temporal:
    """Companion that samples responses to videos with shuffled frames, and adds the bonuses of T-GRPO to the rewards.

    accuracy: the part of the reward that scores responses to shuffled videos; its weight is that of the order bonus
    too. order, length: the bonuses; length is None for no length bonus. sampling, group_size: those of the rollout.
    share: number of responses to a shuffled video, as a share of the group, above 0 and at most 1. UserError for
    another share or one that leaves no response, and for an accuracy of weight 0.
    """

    def __init__(
        self,
        accuracy: Part,
        order: OrderBonus,
        length: LengthBonus | None = None,
        *,
        sampling: Sampling,
        group_size: int,
        share: float = 0.5,
    ) -> None:
        if not 0 < share <= 1:
            problem = "shuffled answers are a part of a group, compared with its answers in order"
            raise UserError(f"algo.temporal.share={share}: {problem}: write more than 0 to 1")
        count = round(group_size * share)
        if count < 1:
            least = f"write {1 / group_size:g} or more"
            raise UserError(f"algo.temporal.share={share} of algo.group_size={group_size} is no response: {least}")
        if accuracy.weight == 0:
            raise UserError(
                "reward.parts.accuracy.weight=0 leaves the order bonus of algo=t_grpo without effect, since it is its "
                "weight too: write more than 0, or choose algo=grpo"
            )
        self.sampling, self.count, self.weight = sampling, count, accuracy.weight
        self.accuracy, self.order, self.length = Reward({"accuracy": accuracy}), order, length

    @torch.no_grad()
    def roll_out(self, policy: MLLM, engine: Engine, prompts: PromptBatch, seed: int) -> Rollout | None:
        """Return responses to the prompts that have a video, with its frames shuffled; None where no prompt has one.

        Some ranks may have no such prompt; so with several ranks this is called inside a session of the engine.
        """
        shuffled = shuffled_clips(prompts, policy.processor.patches, seed)
        if shuffled is None:
            return None
        return engine.generate(policy.prepare(shuffled), self.count, self.sampling, hash_seed(seed, RESPONSES))

    def add(self, scores: Scores, rollout: Rollout, shuffled: Rollout | None) -> tuple[Scores, Metrics]:
        """Return the scores with the bonuses, each a part (1 where earned), and metrics of the prompts with a video.

        shuffled: responses of `roll_out`; None where no prompt has a video.
        """
        accuracy = scores.parts["accuracy"].view(-1, rollout.group_size)
        temporal, length = torch.zeros_like(accuracy), torch.zeros_like(accuracy)
        chosen, passed, found = with_clip(rollout.prompts.examples), torch.zeros(0), torch.zeros(0, 1)
        if shuffled is not None:
            found = self.accuracy(shuffled).parts["accuracy"].view(-1, shuffled.group_size)
            passed = self.order.passes(accuracy[chosen], found)
            temporal[chosen] = self.order.earners(accuracy[chosen], found).float()
        reward = scores.reward + self.weight * self.order.bonus * temporal.flatten()
        parts = {**scores.parts, "temporal": temporal.flatten()}
        if self.length is not None:
            tokens = rollout.trainable.sum(1).view_as(accuracy).to(accuracy.device)
            length = self.length.earners(accuracy, tokens).float()
            reward, parts["length"] = reward + self.length.bonus * length.flatten(), length.flatten()
        pairs: Metrics = {
            "temporal_pass_rate": (passed.sum(), len(chosen)),
            "accuracy_clips": (accuracy[chosen].mean(1).sum(), len(chosen)),
            "accuracy_shuffled": (found.mean(1).sum(), len(chosen)),
        }
        return Scores(reward, parts), pairs
