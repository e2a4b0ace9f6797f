"""Trajectories of several turns: made into the padded Rollout of a step, and into prompts for the next turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ral.models.mllm import MLLM
from ral.models.processor import Processor
from ral.models.states import joined_deepstack
from ral.types import (
    Prepared,
    PromptBatch,
    Rollout,
    Segment,
    Shown,
    ShownMedia,
    Trajectory,
    UserError,
    VisualStates,
    Wording,
)


def assemble(
    processor: Processor, prompts: PromptBatch, trajectories: Sequence[Trajectory], device: torch.device | str = "cpu"
) -> Rollout:
    """Return the rollout of N trajectories, N / B to each prompt, in the order of the prompts.

    Its log-probs are None where a sampled segment has none; its policy version is the oldest of the trajectories'.
    ValueError where there is no trajectory, N is no multiple of B, or a trajectory has no sampled token.
    """
    group, left = divmod(len(trajectories), len(prompts))
    if left or not trajectories:
        raise ValueError(f"{len(trajectories)} trajectories for {len(prompts)} prompts: make equally many of each")
    rows = [trajectory.segments for trajectory in trajectories]
    trainable = padded([[s.sampled for s in row for _ in s.token_ids] for row in rows], False)
    if not bool(trainable.any(1).all()):
        raise ValueError("a trajectory has no sampled token: there is nothing to learn from it")
    token_ids = padded([[i for s in row for i in s.token_ids] for row in rows], processor.pad_id)
    valid = padded([[True for s in row for _ in s.token_ids] for row in rows], False)
    shown = [pixels for row in rows for segment in row for pixels in segment.media]
    media, flat_grids = processor.family.pixels.tensors(shown, processor.patches)
    grids = iter(flat_grids)
    log_probs = log_probs_of(rows)
    return Rollout(
        prompts=prompts,
        token_ids=token_ids.to(device),
        valid=valid.to(device),
        trainable=trainable.to(device),
        texts=tuple(processor.decode([i for s in row if s.sampled for i in s.token_ids]) for row in rows),
        finish_reasons=tuple(trajectory.finish_reason for trajectory in trajectories),
        group_size=group,
        log_probs=None if log_probs is None else log_probs.to(device),
        policy_version=oldest([trajectory.policy_version for trajectory in trajectories]),
        shown=ShownMedia(
            visual=processor.visual(token_ids, valid & ~trainable).to(device),
            media=media,
            grids=tuple(tuple(next(grids) for s in row for _ in s.media) for row in rows),
        ),
    )


def oldest(versions: Sequence[int | None]) -> int | None:
    """Return the oldest of some policy versions; None where one of them is None (not known)."""
    known = [version for version in versions if version is not None]
    return min(known) if len(known) == len(versions) else None


def padded(rows: Sequence[Sequence[float]], filler: float) -> Tensor:
    """Return one tensor [N C] of N lists, padded on the right with `filler`."""
    length = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (length - len(row))] for row in rows])


def log_probs_of(rows: Iterable[Sequence[Segment]]) -> Tensor | None:
    """Return the engine's log-probs [N C], 0 on tokens that were not sampled; None where a sampled segment lacks them.

    rows: the segments of each trajectory.
    """
    segments = [list(row) for row in rows]
    if any(s.sampled and len(s.log_probs) != len(s.token_ids) for row in segments for s in row):
        return None
    values = [[v for s in row for v in (s.log_probs if s.sampled else [0.0] * len(s.token_ids))] for row in segments]
    return padded(values, 0.0)


def sampled_segments(rollout: Rollout) -> list[Segment]:
    """Return the N responses of an engine's rollout, each as one sampled segment.

    UserError for a rollout with attention rows under noise, which trajectories of several turns cannot hold.
    """
    if rollout.attention_rows is not None:
        raise UserError(
            "algo.sampling.noise: attention under noise is recorded of single answers, and these are turns of several: "
            "write algo.sampling.noise=null, with an algo that does not compare with it"
        )
    found = []
    for n, keep in enumerate(rollout.valid):
        values = () if rollout.log_probs is None else tuple(rollout.log_probs[n][keep].tolist())
        found.append(Segment(tuple(rollout.token_ids[n][keep].tolist()), sampled=True, log_probs=values))
    return found


def extended(prepared: Prepared, rollout: Rollout, shown: Shown) -> Prepared:
    """Return N prompts, each a prompt followed by its response so far, for an engine to sample the next turn.

    prepared: the B prompts. rollout: the N responses so far. shown: result of `MLLM.show` of the same model. The
    returned prompts hold visual embeddings, but no pixels of responses.
    """
    rows = prepared.repeat(rollout.group_size)
    valid = torch.cat([rows.valid, rollout.valid], dim=1)
    order = valid.int().argsort(dim=1, stable=True)  # padding of both first, tokens in their order
    order = order[:, int((~valid).sum(1).min()) :]

    def moved(prompt: Tensor, continuation: Tensor) -> Tensor:
        return torch.cat([prompt, continuation], dim=1).gather(1, order)

    def moved_states(prompt: Tensor, continuation: Tensor) -> Tensor:
        index = order[..., None].expand(-1, -1, prompt.shape[-1])
        return torch.cat([prompt, continuation], dim=1).gather(1, index)

    layers, width = joined_deepstack(rows.seen.deepstack, shown.seen.deepstack), rows.token_ids.shape[1]
    states = moved_states(rows.seen.states, shown.seen.states)
    deepstack = states.new_empty(len(layers), *states.shape)
    for layer, values in zip(deepstack, layers, strict=True):
        layer.copy_(moved_states(values[:, :width], values[:, width:]))
    longer = replace(
        rows,
        token_ids=moved(rows.token_ids, rollout.token_ids),
        valid=valid.gather(1, order),
        visual=moved(rows.visual, shown.visual),
        evidence=moved(rows.evidence, torch.zeros_like(rollout.valid)),
        positions=torch.stack([moved(*pair) for pair in zip(rows.positions, shown.positions, strict=True)]),
        seen=VisualStates(states, deepstack),
    )
    return replace(longer, prompts=collated(longer, rollout))


def continued(policy: MLLM, prepared: Prepared, trajectories: Sequence[Trajectory]) -> Prepared:
    """Return N prompts, each a prompt followed by its trajectory so far, for an engine to sample the next turn.

    prepared: the B prompts. trajectories: N / B of each prompt, in order. Unlike `extended`, the result also holds the
    texts and ids of prompt and trajectory (Wording). The vision tower runs.
    """
    so_far = assemble(policy.processor, prepared.prompts, trajectories, policy.device)
    shown = policy.show(prepared, so_far)
    assert shown is not None  # `assemble` always sets `shown`
    longer = extended(prepared, so_far, shown)
    group = so_far.group_size
    begun = [prepared.prompts.wordings[n // group] for n in range(len(trajectories))]
    words = (continued_wording(policy.processor, *pair) for pair in zip(begun, trajectories, strict=True))
    return replace(longer, prompts=replace(longer.prompts, wordings=tuple(words)))


def continued_wording(processor: Processor, prompt: Wording, trajectory: Trajectory) -> Wording:
    """Return text and ids of a prompt and its trajectory so far, with one placeholder for each image or video."""
    ids = [index for s in trajectory.segments for index in (s.token_ids if s.sampled else s.compact_ids)]
    kinds = [pixels.kind for s in trajectory.segments for pixels in s.media]
    text = prompt.text + str(processor.tokenizer.decode(ids))
    return Wording(text, (*prompt.token_ids, *ids), (*prompt.kinds, *kinds))


def collated(prepared: Prepared, rollout: Rollout) -> PromptBatch:
    """Return the PromptBatch of prompts followed by responses, without pixels; wordings are still those of the prompts.

    prepared: the prompts followed by responses; rollout: the responses, whose grids are added.
    """
    prompts = prepared.prompts
    assert rollout.shown is not None
    return replace(
        prompts,
        token_ids=prepared.token_ids.cpu(),
        valid=prepared.valid.cpu(),
        visual=prepared.visual.cpu(),
        evidence=prepared.evidence.cpu(),
        grids=tuple(a + b for a, b in zip(prompts.grids, rollout.shown.grids, strict=True)),
    )
