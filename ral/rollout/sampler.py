"""Sampling of rollouts: each prompt is prefilled once, its cache shared by its G responses, then decoded."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ral.models.mllm import MLLM, Prepared
from ral.models.processor import Processor
from ral.ops.logprobs import policy_logits
from ral.types import Rollout


def draw(logits: Tensor, greedy: bool, generator: torch.Generator | None) -> Tensor:
    """Next tokens [N] from logits [N V] (banned ones at -inf): the likeliest, or one sampled from their softmax."""
    if greedy:
        return logits.argmax(-1)
    return torch.multinomial(torch.softmax(logits, -1), 1, generator=generator).squeeze(-1)


@dataclass(frozen=True)
class PolicySampler:
    """Samples G responses to each prompt from the policy.

    temperature: of the sampling distribution, > 0; training log-probs use the same. greedy=True takes the likeliest
    token instead. max_new_tokens: length limit C; a response cut by it is not `finished`.
    """

    group_size: int
    temperature: float = 0.9
    max_new_tokens: int = 768
    greedy: bool = False

    @torch.no_grad()
    def __call__(self, policy: MLLM, prepared: Prepared, generator: torch.Generator | None = None) -> Rollout:
        """Rollout of N = B * group_size responses. Banned tokens (placeholders, control) are never drawn."""
        count = len(prepared.prompts) * self.group_size
        banned = policy.processor.banned.to(policy.device)
        ends = torch.tensor(policy.processor.end_ids, device=policy.device)
        ids = torch.full((count, self.max_new_tokens), policy.processor.pad_id, device=policy.device)
        mask = torch.zeros_like(ids, dtype=torch.bool)
        running = torch.ones(count, dtype=torch.bool, device=policy.device)
        hidden, state = policy("prefill", prepared, self.group_size, self.max_new_tokens)
        for step in range(self.max_new_tokens):
            logits = policy_logits(hidden, policy.head, temperature=self.temperature, banned=banned)
            token = draw(logits, self.greedy, generator)
            ids[:, step] = torch.where(running, token, ids[:, step])
            mask[:, step] = running
            running = running & ~torch.isin(token, ends)
            if step + 1 == self.max_new_tokens or not bool(running.any()):
                break
            hidden = policy("decode", prepared, ids[:, step], state)
        length = int(mask.sum(1).max())
        return make_rollout(policy.processor, prepared, ids[:, :length], mask[:, :length], ~running, self.group_size)


@dataclass(frozen=True)
class TargetSampler:
    """The dataset's own responses in place of sampled ones: supervised fine-tuning. group_size is 1."""

    group_size: int = 1
    temperature: float = 1.0

    def __call__(self, policy: MLLM, prepared: Prepared, generator: torch.Generator | None = None) -> Rollout:
        """The target of each prompt, tokenized, with its end token."""
        assert prepared.prompts.targets is not None, "a dataset split without targets reached supervised fine-tuning"
        rows = [policy.processor.response_ids(text) for text in prepared.prompts.targets]
        length = max(len(row) for row in rows)
        pad = policy.processor.pad_id
        ids = torch.tensor([row + [pad] * (length - len(row)) for row in rows], device=policy.device)
        lengths = torch.tensor([len(row) for row in rows], device=policy.device)
        mask = torch.arange(length, device=policy.device)[None] < lengths[:, None]
        return make_rollout(policy.processor, prepared, ids, mask, torch.ones_like(lengths, dtype=torch.bool), 1)


def make_rollout(
    processor: Processor, prepared: Prepared, ids: Tensor, mask: Tensor, finished: Tensor, group_size: int
) -> Rollout:
    """A Rollout with the decoded texts. The ids are kept as they are: nothing is ever decoded and encoded again."""
    texts = tuple(processor.decode(row[keep].tolist()) for row, keep in zip(ids.cpu(), mask.cpu(), strict=True))
    return Rollout(prepared.prompts, ids, mask, texts, finished, group_size)
