"""Sampling of rollouts: each prompt is prefilled once, its cache shared by its G responses, then decoded.

A sampled token is where one uniform number falls in the policy's cumulative distribution. The numbers belong to the
prompt (seed, uid), the response and the token: a prompt that occurs once in a step gets the same answers in whatever
batch or rank it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ral.models.cpu_linear import packed_weights
from ral.models.mllm import MLLM, Openings
from ral.models.processor import Processor
from ral.ops.logprobs import policy_logits
from ral.rollout.noise import Exploration, Noise
from ral.rollout.seeds import hash_seed as hash_seed
from ral.rollout.seeds import prompt_seeds
from ral.rollout.seeds import uniforms as uniforms
from ral.types import Prepared, Rollout, finish_reasons

COMPACT_BELOW = 0.5
"""Finished responses leave the decoding batch when this share of its places, or less, would hold those that run."""

EXPLORING = 2
"""Tells the seeds of the noise on attention from those of the tokens."""

LONGEST = 4.0
"""Prompts in one decoding batch are at most this many times as long as the shortest: the rest would be padding."""


def draw(logits: Tensor, uniform: Tensor | None) -> Tensor:
    """Next tokens [n] from logits [n V] (banned ones at -inf): the likeliest, or by inverse transform of `uniform` [n].

    The interval of a token without probability is empty, and the last interval ends above every number.
    """
    if uniform is None:
        return logits.argmax(-1)
    weights = torch.softmax(logits.double(), -1)
    edges = weights.cumsum(-1)
    found = torch.searchsorted(edges, uniform[:, None] * edges[:, -1:], right=True).squeeze(-1)
    last = weights.shape[-1] - 1 - (weights > 0).flip(-1).int().argmax(-1)
    return torch.minimum(found, last)


@dataclass(frozen=True)
class Generated:
    """ids [N C], padded; mask [N C]: the sampled tokens; log_probs [N C] fp32; finished [N]: ended before the limit.

    explored: the noise on the attention and what was recorded of it; None without noise.
    """

    ids: Tensor
    mask: Tensor
    log_probs: Tensor
    finished: Tensor
    explored: Exploration | None = None


@dataclass
class Slots:
    """Which response each place of the decoding batch holds: grid [B' G'] of indices into the N responses.

    left: responses that still run, as of the last call of `leave`.
    """

    grid: Tensor
    left: int = -1

    def leave(self, running: Tensor) -> tuple[Tensor, Tensor] | None:
        """Let finished responses go where that frees enough places: the kept prompts [B'] and slots [B' G'], or None.

        running [N]. Prompts without a running response go; of the rest, running responses come first.
        """
        alive = running[self.grid]
        counts: list[int] = alive.sum(1).tolist()  # the one wait for the device in a decoding step
        self.left = sum(counts)
        kept, width = [n for n, count in enumerate(counts) if count], max(counts)
        if not kept or len(kept) * width > COMPACT_BELOW * self.grid.numel():
            return None
        prompts = torch.tensor(kept, device=running.device)
        slots = (~alive[prompts]).int().argsort(dim=1, stable=True)[:, :width]
        self.grid = self.grid[prompts].gather(1, slots)
        return prompts, slots


def length_buckets(lengths: Sequence[int]) -> list[list[int]]:
    """Indices of prompts that are decoded together: by length, none more than LONGEST times its bucket's shortest."""
    buckets: list[list[int]] = []
    for n in sorted(range(len(lengths)), key=lambda n: lengths[n]):
        if not buckets or lengths[n] > LONGEST * lengths[buckets[-1][0]]:
            buckets.append([])
        buckets[-1].append(n)
    return buckets


@dataclass(frozen=True)
class PolicySampler:
    """Samples G responses to each prompt from the policy.

    temperature: of the sampling distribution, > 0; training log-probs use the same. greedy=True takes the likeliest
    token instead. max_new_tokens: length limit C; a response cut by it is not `finished`. noise: on the attention of
    response tokens; the rollout then holds the attention that it led to.
    """

    group_size: int
    temperature: float = 0.9
    max_new_tokens: int = 768
    greedy: bool = False
    noise: Noise | None = None

    @torch.no_grad()
    def __call__(self, policy: MLLM, prepared: Prepared, seed: int = 0) -> Rollout:
        """Rollout of N = B * group_size responses. Banned tokens (placeholders, control) are never drawn."""
        buckets = length_buckets(prepared.valid.sum(1).tolist())
        if len(buckets) == 1:
            return self.decode(policy, prepared, seed)
        parts = [self.decode(policy, prepared.take(bucket), seed) for bucket in buckets]
        return joined(policy.processor, prepared, parts, buckets)

    def decode(self, policy: MLLM, prepared: Prepared, seed: int) -> Rollout:
        """Rollout of prompts of similar length."""
        uids = [e.uid for e in prepared.prompts.examples]
        explored = self.explore(policy, prepared, prompt_seeds(uids, hash_seed(seed, EXPLORING)))
        drawn = self.generate(policy, prepared, self.numbers(uids, self.group_size, seed), explored=explored)
        length = int(drawn.mask.sum(1).max())
        ids, mask = drawn.ids[:, :length], drawn.mask[:, :length]
        rollout = make_rollout(policy.processor, prepared, ids, mask, drawn.finished, self.group_size)
        rows = None if explored is None else explored.rows(mask)
        return replace(rollout, log_probs=drawn.log_probs[:, :length], attention_rows=rows)

    def explore(self, policy: MLLM, prepared: Prepared, seeds: Sequence[int]) -> Exploration | None:
        """The noise of a decoding batch; None where the sampler has none."""
        if self.noise is None:
            return None
        layers = self.noise.attention.resolve_layers(policy.depth)
        return Exploration(self.noise, layers, seeds, prepared.valid, prepared.visual, self.group_size)

    def numbers(self, uids: Sequence[str], group_size: int, seed: int) -> Tensor | None:
        """What decides the tokens of each response, [B*G C]; None where the likeliest are taken."""
        return None if self.greedy else uniforms(uids, group_size, self.max_new_tokens, seed)

    @torch.no_grad()
    def generate(
        self,
        policy: MLLM,
        prepared: Prepared,
        numbers: Tensor | None,
        openings: Openings | None = None,
        explored: Exploration | None = None,
    ) -> Generated:
        """Decode N responses, equally many to each prompt: group_size of them, or as many as `openings` holds."""
        processor, device, limit = policy.processor, policy.device, self.max_new_tokens
        openings, numbers = openings and openings.to(device), None if numbers is None else numbers.to(device)
        count = len(openings.asked) if openings else len(prepared) * self.group_size
        banned, ends = processor.banned.to(device), torch.tensor(processor.end_ids, device=device)
        ids = torch.full((count, limit), processor.pad_id, device=device)
        mask, log_probs = torch.zeros_like(ids, dtype=torch.bool), torch.zeros(ids.shape, device=device)
        running = openings.asked.clone() if openings else torch.ones(count, dtype=torch.bool, device=device)
        asked = running.clone()
        slots = Slots(torch.arange(count, device=device).view(len(prepared), -1))
        hidden, state = policy.prefill(prepared, slots.grid.shape[1], openings)
        state.explored = explored
        parts = (policy.network.model.language_model, policy.network.lm_head)
        with policy.arithmetic(), packed_weights(parts, count, limit):
            for step in range(limit):
                rows = slots.grid.flatten()
                logits = policy_logits(hidden, policy.head, temperature=self.temperature, banned=banned)
                token = draw(logits, None if numbers is None else numbers[rows, step])
                live = running[rows]
                ids[rows, step] = torch.where(live, token, ids[rows, step])
                mask[rows, step] = live
                chosen = logits.gather(-1, token[:, None]).squeeze(-1) - logits.logsumexp(-1)
                log_probs[rows, step] = torch.where(live, chosen, 0.0)
                running[rows] = live & ~torch.isin(token, ends)
                kept = slots.leave(running)
                if step + 1 == limit or slots.left == 0:
                    break
                if kept is not None:
                    state.keep(*kept)
                hidden = policy.decode(ids[slots.grid.flatten(), step], state)
        return Generated(ids, mask, log_probs, asked & ~running)


def joined(
    processor: Processor, prepared: Prepared, parts: Sequence[Rollout], buckets: Sequence[Sequence[int]]
) -> Rollout:
    """The rollouts of buckets of prompts as one, in the order of `prepared`."""
    group, length = parts[0].group_size, max(part.token_ids.shape[1] for part in parts)

    def stack(values: Sequence[Tensor], filler: float) -> Tensor:
        more = [(*(0, 0) * (v.dim() - 2), 0, length - v.shape[1]) for v in values]
        rows = torch.cat([torch.nn.functional.pad(v, m, value=filler) for v, m in zip(values, more, strict=True)])
        return rows.unflatten(0, (-1, group))[order].flatten(0, 1)

    order = torch.tensor([n for bucket in buckets for n in bucket]).argsort().to(parts[0].token_ids.device)
    ids, mask = stack([p.token_ids for p in parts], processor.pad_id), stack([p.valid for p in parts], False)
    finished = torch.cat([p.finished for p in parts]).view(-1, group)[order.cpu()].flatten()
    log_probs = stack([p.log_probs for p in parts if p.log_probs is not None], 0.0)
    joint = make_rollout(processor, prepared, ids, mask, finished, group)
    if parts[0].attention_rows is None:
        return replace(joint, log_probs=log_probs)
    prompt = prepared.token_ids.shape[1]
    layers = zip(*(widened(part, prompt, length) for part in parts), strict=True)
    return replace(joint, log_probs=log_probs, attention_rows=torch.stack([stack(rows, 0.0) for rows in layers]))


def widened(part: Rollout, prompt: int, length: int) -> Tensor:
    """The recorded rows of a bucket, [L N C K] -> [L N C P+length]: P of all prompts, keys of the longest response."""
    rows, own = part.attention_rows, part.prompts.token_ids.shape[1]
    assert rows is not None
    return torch.nn.functional.pad(rows, (prompt - own, length - part.token_ids.shape[1]))


@dataclass(frozen=True)
class TargetSampler:
    """The dataset's own responses in place of sampled ones: supervised fine-tuning. group_size is 1."""

    group_size: int = 1
    temperature: float = 1.0

    def __call__(self, policy: MLLM, prepared: Prepared, seed: int = 0) -> Rollout:
        """The target of each prompt, tokenized, with its end token."""
        assert prepared.prompts.targets, "a dataset split without targets reached supervised fine-tuning"
        return given(policy, prepared, prepared.prompts.targets)


@dataclass(frozen=True)
class PairSampler:
    """The two responses of each preference in place of sampled ones, chosen before rejected: group_size is 2."""

    def __call__(self, policy: MLLM, prepared: Prepared, seed: int = 0) -> Rollout:
        """Both responses to each prompt, tokenized, with their end token."""
        pairs = [(example.chosen, example.rejected) for example in prepared.prompts.examples]
        texts = [text for pair in pairs for text in pair if text is not None]
        assert len(texts) == 2 * len(pairs), "an entry without preferences reached a reward model"
        return given(policy, prepared, texts)


def given(policy: MLLM, prepared: Prepared, texts: Sequence[str]) -> Rollout:
    """A Rollout of written responses, equally many to each prompt, with their end token."""
    rows = [policy.processor.response_ids(text) for text in texts]
    length = max(len(row) for row in rows)
    pad = policy.processor.pad_id
    ids = torch.tensor([row + [pad] * (length - len(row)) for row in rows], device=policy.device)
    lengths = torch.tensor([len(row) for row in rows], device=policy.device)
    mask = torch.arange(length, device=policy.device)[None] < lengths[:, None]
    group, finished = len(rows) // len(prepared), torch.ones_like(lengths, dtype=torch.bool)
    return make_rollout(policy.processor, prepared, ids, mask, finished, group)


def make_rollout(
    processor: Processor, prepared: Prepared, ids: Tensor, mask: Tensor, finished: Tensor, group_size: int
) -> Rollout:
    """A Rollout with the decoded texts. The ids are kept as they are: nothing is ever decoded and encoded again."""
    texts = tuple(processor.decode(row[keep].tolist()) for row, keep in zip(ids.cpu(), mask.cpu(), strict=True))
    return Rollout(prepared.prompts, ids, mask, mask, texts, finish_reasons(finished), group_size)
