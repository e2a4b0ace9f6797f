"""Rollouts of single sampled responses, of one decoding batch or of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ral.models.processor import Processor
from ral.types import Prepared, Rollout, finish_reasons


def make_rollout(
    processor: Processor, prepared: Prepared, ids: Tensor, mask: Tensor, finished: Tensor, group_size: int
) -> Rollout:
    """Return the Rollout of N sampled responses, with their decoded texts.

    prepared: the prompts. ids [N C]: the tokens, kept exactly as sampled. mask [N C]: True on sampled tokens, False on
    padding. finished [N] bool: responses that ended by an end token. group_size: G.
    """
    texts = tuple(processor.decode(row[keep].tolist()) for row, keep in zip(ids.cpu(), mask.cpu(), strict=True))
    return Rollout(prepared.prompts, ids, mask, mask, texts, finish_reasons(finished), group_size)


def joined_buckets(
    processor: Processor, prepared: Prepared, parts: Sequence[Rollout], buckets: Sequence[Sequence[int]]
) -> Rollout:
    """Join the rollouts `parts` of buckets of prompts into one, in the order of `prepared`.

    buckets: for each part the indices of its prompts in `prepared`. log_probs are None where one part has none.
    """
    group, length = parts[0].group_size, max(part.token_ids.shape[1] for part in parts)

    def stack(values: Sequence[Tensor], filler: float) -> Tensor:
        more = [(*(0, 0) * (v.dim() - 2), 0, length - v.shape[1]) for v in values]
        rows = torch.cat([torch.nn.functional.pad(v, m, value=filler) for v, m in zip(values, more, strict=True)])
        return rows.unflatten(0, (-1, group))[order].flatten(0, 1)

    order = torch.tensor([n for bucket in buckets for n in bucket]).argsort().to(parts[0].token_ids.device)
    ids, mask = stack([p.token_ids for p in parts], processor.pad_id), stack([p.valid for p in parts], False)
    finished = torch.cat([p.finished for p in parts]).view(-1, group)[order.cpu()].flatten()
    known = [p.log_probs for p in parts if p.log_probs is not None]
    log_probs = stack(known, 0.0) if len(known) == len(parts) else None
    joint = make_rollout(processor, prepared, ids, mask, finished, group)
    if parts[0].attention_rows is None:
        return replace(joint, log_probs=log_probs)
    prompt = prepared.token_ids.shape[1]
    layers = zip(*(widened(part, prompt, length) for part in parts), strict=True)
    return replace(joint, log_probs=log_probs, attention_rows=torch.stack([stack(rows, 0.0) for rows in layers]))


def widened(part: Rollout, prompt: int, length: int) -> Tensor:
    """Return a bucket's attention rows with their keys padded to those of the joint rollout, [L N C prompt+length].

    part: rollout of the bucket. prompt, length: tokens of the longest prompt and of the longest response in the joint
    rollout.
    """
    rows, own = part.attention_rows, part.prompts.token_ids.shape[1]
    assert rows is not None
    return torch.nn.functional.pad(rows, (prompt - own, length - part.token_ids.shape[1]))
